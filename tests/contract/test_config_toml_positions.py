"""Every key of a TOML document is found at its line and column."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxhybrid.config.toml_positions import TomlPath, key_positions

DOCUMENT = '''\
# a comment with a = 1
top = "x # not a comment"
a.b . "c d" = 1   # dotted

[ table ]
text = """
fake = 1
\\"""" # still inside? no: this is a comment
raw = \'\'\'
[fake]\'\'\'
list = [ 1, # one
  { x = 1, y = "]" },
]
when = 1979-05-27 07:32:00

[[many]]
n = 1
[many.under]
z = 1
[[many]]
n = 2
'''


def test_keys_of_every_notation_are_found() -> None:
    found = {path: tuple(place) for path, place in key_positions(DOCUMENT).items()}
    assert found == {
        ("top",): (2, 1),
        ("a",): (3, 1),
        ("a", "b"): (3, 3),
        ("a", "b", "c d"): (3, 7),
        ("table",): (5, 3),
        ("table", "text"): (6, 1),
        ("table", "raw"): (9, 1),
        ("table", "list"): (11, 1),
        ("table", "list", 0): (11, 10),
        ("table", "list", 1): (12, 3),
        ("table", "list", 1, "x"): (12, 5),
        ("table", "list", 1, "y"): (12, 12),
        ("table", "when"): (14, 1),
        ("many",): (16, 3),
        ("many", 0): (16, 3),
        ("many", 0, "n"): (17, 1),
        ("many", 0, "under"): (18, 7),
        ("many", 0, "under", "z"): (19, 1),
        ("many", 1): (16, 3),
        ("many", 1, "n"): (21, 1),
    }


def test_lines_end_the_same_way_on_windows() -> None:
    assert key_positions(DOCUMENT.replace("\n", "\r\n")) == key_positions(DOCUMENT)


def paths(value: Any, prefix: TomlPath = ()) -> Iterator[TomlPath]:
    children: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    for key, child in children:
        yield (*prefix, key)
        yield from paths(child, (*prefix, key))


fragment = st.sampled_from(
    [*"\n .=[]{},'\"\\#ab1", "\n[t]\n", "\n[[m]]\n", "\nk = ", '"""', "'''", "a = 1\n", "{ x = 1 }"]
)


@given(st.lists(fragment, max_size=25).map("".join))
def test_same_keys_are_found_as_the_standard_reader_finds(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(key_positions(text)) == set(paths(document))


@pytest.mark.parametrize(
    "text",
    [
        'a = """x"""""',
        "a = ''''x'''''",
        'a = "\\\\"\nb = 1',
        "a = [[], [[1]], {}]",
        "a = {b.c = 1}",
    ],
)
def test_awkward_values_are_skipped_whole(text: str) -> None:
    assert set(key_positions(text)) == set(paths(tomllib.loads(text)))
