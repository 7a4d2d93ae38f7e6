"""The templates, and all that the C header has, in the real sandbox."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluxhybrid import PluginManager
from fluxhybrid.errors import Invalid
from fluxhybrid.plugins.building import build
from fluxhybrid.plugins.fuzzing import fuzz
from fluxhybrid.plugins.project import Language
from fluxhybrid.plugins.scaffold import new_project
from fluxhybrid.plugins.trial import Call, Result, call, calls_of, try_vectors
from fluxhybrid.plugins.vectors import Vector, read_vectors

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SAMPLES = Path(__file__).parent / "plugins"
LANGUAGES: list[Language] = ["rust", "c"]


@pytest.fixture(scope="module", params=LANGUAGES)
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module of a new project as it comes, of each language."""
    project = new_project("room", request.param, tmp_path_factory.mktemp(request.param))
    return build(project).module


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module that uses all the header has."""
    project = new_project("everything", "c", tmp_path_factory.mktemp("everything"))
    shutil.copy(SAMPLES / "everything.c", project / "src" / "plugin.c")
    shutil.copy(SAMPLES / "everything.json", project / "vectors" / "frames.json")
    return build(project).module


def loaded(module: Path) -> tuple[PluginManager, str, list[Vector]]:
    host = PluginManager()
    vectors = read_vectors(module.with_suffix(".vectors.json"))
    return host, host.load(module.read_bytes(), module.stem), vectors


def failures(results: Iterator[Result]) -> dict[str, list[str]]:
    return {result.vector.name: result.differences for result in results if not result.ok}


def test_template_s_vectors_hold_in_the_sandbox(template: Path) -> None:
    assert failures(try_vectors(*loaded(template))) == {}


def test_host_tries_the_vectors_that_lie_beside_a_module(template: Path) -> None:
    host = PluginManager()
    host.load(template)
    beside = template.with_suffix(".vectors.json")
    text = beside.read_text("utf-8")
    beside.write_text(text.replace("21.5", "21.6"), "utf-8")
    try:
        with pytest.raises(Invalid) as raised:
            host.load(template)
    finally:
        beside.write_text(text, "utf-8")
    assert raised.value.code == "plugin.self_test"
    assert "a warm room" in raised.value.problems[0].message


def test_template_withstands_hostile_input(template: Path) -> None:
    host, plugin_id, vectors = loaded(template)
    report = fuzz(host, plugin_id, calls_of(host, plugin_id, vectors), seconds=2, seed=1)
    assert report.findings == []
    assert not report.leaks
    assert report.refused > 100


def test_everything_the_header_has_holds_in_the_sandbox(everything: Path) -> None:
    assert failures(try_vectors(*loaded(everything))) == {}


def test_memory_stays_flat_whatever_the_lengths_of_inputs(everything: Path) -> None:
    host, plugin_id, _ = loaded(everything)
    for length in (*range(2_000), 60_000, 1, 500_000, 1):
        call(host, plugin_id, Call("decode", b"v" + bytes(min(length, 30_000)), {}))
        call(host, plugin_id, Call("decode", b"?" * length, {}))
    status = host.status(plugin_id)
    assert status["idle_bytes"] < 2 * 2**20
    assert status["pool"]["misses"] == 0  # one instance served all
