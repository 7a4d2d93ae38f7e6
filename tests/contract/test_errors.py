"""Public exceptions: six kinds, each with its class, exit code and status."""

from __future__ import annotations

import pickle

import pytest

from fluxhybrid import errors
from fluxhybrid.errors import ErrorKind, FluxError, Invalid, Problem, error_of_kind


def test_every_kind_has_class_exit_code_and_status() -> None:
    for kind in ErrorKind:
        error = error_of_kind(kind.value)("some.code", "what")
        assert error.kind is kind
        assert error.exit_code == errors.EXIT_CODES[kind]
        assert error.http_status == errors.HTTP_STATUSES[kind]
        assert isinstance(error, FluxError)


def test_base_takes_a_kind_by_name() -> None:
    assert FluxError("a.b", "c", "conflict").http_status == 409
    with pytest.raises(ValueError, match="nonsense"):
        FluxError("a.b", "c", "nonsense")


def test_error_by_itself_is_its_own_single_problem() -> None:
    error = Invalid("a.b", "what", hint="how", source="f", line=3, column=4)
    assert error.problems == (Problem("a.b", "what", "how", None, "f", 3, 4),)
    assert str(error) == "what"
    assert repr(error) == "Invalid('a.b', 'what')"


def test_error_survives_the_way_to_another_process() -> None:
    error = Invalid("a.b", "what", hint="how", problems=[Problem("x", "1"), Problem("y", "2")])
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is Invalid
    assert vars(again) == vars(error)


def test_error_of_a_problem_carries_that_problem() -> None:
    problem = Problem("a.b", "what", "how", "/p", "f", 1, 2, "line")
    assert Invalid.of(problem).problems == (problem,)


@pytest.mark.parametrize(
    ("problem", "where"),
    [
        (Problem("c", "m", source="f", line=2, column=3), "f:2:3"),
        (Problem("c", "m", source="f", line=2), "f:2"),
        (Problem("c", "m", source="f"), "f"),
        (Problem("c", "m", line=2, column=3), "line 2:3"),
        (Problem("c", "m", pointer="/a/b"), "/a/b"),
        (Problem("c", "m"), None),
    ],
)
def test_place_is_told_as_far_as_it_is_known(problem: Problem, where: str | None) -> None:
    assert problem.where == where
