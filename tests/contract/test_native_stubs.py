"""What is written about the extension module is so: types, and examples in docstrings."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fluxhybrid import Engine, EventBus, ScriptEngine


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


@pytest.mark.parametrize("thing", [Engine, EventBus, ScriptEngine])
def test_example_in_the_docstring_runs(thing: type, tmp_path: Path) -> None:
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(thing, globs={"data_dir": tmp_path / "data"})
    assert len(example.examples) >= 2
    assert doctest.DocTestRunner().run(example).failed == 0
