"""Building all plugins: a machine without compilers still builds and runs the rest."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

import build_plugins
from fluxhybrid.errors import EXIT_CODES, ErrorKind, Invalid, Unavailable


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package to build into that is not the checkout's."""
    monkeypatch.setattr(build_plugins, "_PACKAGE", tmp_path)
    return tmp_path


def without_compilers(*_: object) -> NoReturn:
    raise Unavailable("plugin.toolchain", "there is none", hint="apt-get install rustc-web")


def test_missing_compiler_is_a_note_where_plugins_are_optional(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: Path
) -> None:
    monkeypatch.setattr(build_plugins, "build_all", without_compilers)
    assert build_plugins.main(["--if-possible"]) == 0
    told = capsys.readouterr().err
    assert told.startswith("note: the plugins are not built: there is none")
    assert "help: apt-get install rustc-web" in told
    # New projects can be made all the same: perhaps another machine builds them.
    assert (package / "sdk_source" / "sdk" / "src" / "lib.rs").is_file()


def test_missing_compiler_is_an_error_where_plugins_are_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build_plugins, "build_all", without_compilers)
    assert build_plugins.main([]) == EXIT_CODES[ErrorKind.UNAVAILABLE]
    assert capsys.readouterr().err.startswith("error: ")


def test_plugin_that_does_not_compile_is_an_error_in_any_case(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: object) -> NoReturn:
        raise Invalid("plugin.build", "cargo failed in plugins")

    monkeypatch.setattr(build_plugins, "build_all", failing)
    assert build_plugins.main(["--if-possible"]) == EXIT_CODES[ErrorKind.INVALID]
    assert "cargo failed" in capsys.readouterr().err


def test_what_is_left_of_a_plugin_that_is_gone_is_removed(
    monkeypatch: pytest.MonkeyPatch, package: Path
) -> None:
    (package / "ready").mkdir()
    (package / "ready" / "gone.wasm").write_bytes(b"\0asm")
    monkeypatch.setattr(build_plugins, "build_all", lambda *_: [])
    assert build_plugins.main([]) == 0
    assert list((package / "ready").iterdir()) == []
