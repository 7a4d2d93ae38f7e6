"""What is written about the extension module is so: types, and examples in docstrings."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fluxhybrid import Engine, EventBus, PluginManager, ScriptEngine
from fluxhybrid.engine.settings import BUNDLED_PLUGINS


def test_stubs_are_those_of_the_module(project_root: Path, tmp_path: Path) -> None:
    python = str(project_root / "python")
    outcome = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "fluxhybrid._native"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": python, "MYPYPATH": python},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.parametrize("thing", [Engine, EventBus, PluginManager, ScriptEngine])
def test_example_in_the_docstring_runs(thing: type, tmp_path: Path) -> None:
    names = {
        "data_dir": tmp_path / "data",
        "dummy_plugin": BUNDLED_PLUGINS / "dummy_plugin.wasm",
    }
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(thing, globs=names)
    assert len(example.examples) >= 2
    assert doctest.DocTestRunner().run(example).failed == 0
