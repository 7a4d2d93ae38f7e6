"""Compilers are found where they are, and where there is none it is said what to install."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fluxhybrid.errors import Unavailable
from fluxhybrid.plugins import toolchain
from fluxhybrid.plugins.toolchain import c_compiler, rust_toolchain

TARGET = "wasm32-unknown-unknown"

MakeRust = Callable[..., Path]
Script = Callable[[Path, str], None]


@pytest.fixture
def script() -> Script:
    def write(path: Path, body: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    return write


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on it; gives its directory of programs."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(toolchain, "_DEBIAN_BIN", tmp_path / "usr" / "bin")
    return programs


@pytest.fixture
def make_rust(tmp_path: Path, script: Script) -> MakeRust:
    """Puts a compiler somewhere, with the parts named."""

    def make(programs: Path, *parts: str, version: str = "1.96.0", cargo: bool = True) -> Path:
        sysroot = programs.parent / f"sysroot-{programs.name}"
        rustlib = sysroot / "lib" / "rustlib"
        if "target" in parts:
            (rustlib / TARGET / "lib").mkdir(parents=True)
            (rustlib / TARGET / "lib" / "libstd-1234.rlib").touch()
        if "sources" in parts:
            library = rustlib / "src" / "rust" / "library"
            (library / "std").mkdir(parents=True)
            (library / "std" / "Cargo.toml").touch()
            (library / "vendor").mkdir()
        if "rust-lld" in parts:
            script(rustlib / "x86_64-unknown-linux-gnu" / "bin" / "rust-lld", "")
        script(
            programs / "rustc",
            f'case "$1" in -vV) echo "rustc"; echo "release: {version}";'
            f' echo "host: x86_64-unknown-linux-gnu";; *) echo "{sysroot}";; esac',
        )
        if cargo:
            script(programs / "cargo", "")
        return programs / "rustc"

    return make


def test_compiler_with_the_target_builds_plainly(elsewhere: Path, make_rust: MakeRust) -> None:
    rustc = make_rust(elsewhere, "target", "rust-lld")
    found = rust_toolchain()
    assert (found.rustc, found.cargo) == (rustc, elsewhere / "cargo")
    assert found.arguments() == ["--target", TARGET]
    assert "RUSTC_BOOTSTRAP" not in found.environment()
    assert found.linker is None


def test_compiler_with_sources_builds_the_library_too(
    elsewhere: Path, make_rust: MakeRust, script: Script
) -> None:
    make_rust(elsewhere, "sources")
    script(elsewhere / "wasm-ld", "")
    found = rust_toolchain()
    assert "build-std=std,panic_abort" in found.arguments()
    environment = found.environment()
    assert environment["RUSTC_BOOTSTRAP"] == "1"
    assert environment["CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER"] == str(elsewhere / "wasm-ld")
    assert any("vendor" in argument for argument in found.offline_arguments())


def test_compiler_with_the_target_is_preferred(
    elsewhere: Path, make_rust: MakeRust, script: Script, tmp_path: Path
) -> None:
    make_rust(elsewhere, "sources")
    script(elsewhere / "wasm-ld", "")
    debian = make_rust(tmp_path / "usr" / "bin", "target")
    assert rust_toolchain().rustc == debian


@pytest.mark.parametrize(
    ("parts", "version", "reason"),
    [
        ((), "1.96.0", "no WebAssembly linker"),
        (("rust-lld",), "1.96.0", "neither the target"),
        (("rust-lld", "target"), "1.63.0", "is 1.63, older than 1.85"),
    ],
)
def test_compiler_that_will_not_do_is_told_with_the_reason(
    elsewhere: Path, make_rust: MakeRust, parts: tuple[str, ...], version: str, reason: str
) -> None:
    rustc = make_rust(elsewhere, *parts, version=version)
    with pytest.raises(Unavailable) as raised:
        rust_toolchain()
    assert raised.value.code == "plugin.toolchain"
    assert f"{rustc}" in raised.value.message
    assert reason in raised.value.message
    assert "rustup target add" in str(raised.value.hint)
    assert "rustc-web cargo-web rust-web-src" in str(raised.value.hint)


def test_compiler_without_cargo_or_that_does_not_run_will_not_do(
    elsewhere: Path, make_rust: MakeRust, script: Script, tmp_path: Path
) -> None:
    make_rust(elsewhere, "target", cargo=False)
    broken = tmp_path / "usr" / "bin"
    script(broken / "rustc", "exit 1")
    script(broken / "cargo", "")
    with pytest.raises(Unavailable, match=r"no cargo beside it.*does not run"):
        rust_toolchain()


def test_machine_without_compilers_is_told_what_to_install(elsewhere: Path) -> None:
    with pytest.raises(Unavailable, match="there is none at all"):
        rust_toolchain()
    with pytest.raises(Unavailable, match=r"no WebAssembly linker") as raised:
        c_compiler()
    assert "clang lld" in str(raised.value.hint)


def test_newest_clang_that_makes_webassembly_is_found(elsewhere: Path, script: Script) -> None:
    script(elsewhere / "wasm-ld-14", "")
    script(elsewhere / "clang-9", "echo wasm32")
    script(elsewhere / "clang-14", "echo wasm32")
    script(elsewhere / "clang-22", "echo x86")
    script(elsewhere / "clang-cl", "echo wasm32")
    found = c_compiler()
    assert (found.clang, found.linker) == (elsewhere / "clang-14", elsewhere / "wasm-ld-14")
