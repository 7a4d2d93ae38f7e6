"""Compilers that make WebAssembly.

Owns finding them, and saying exactly what to install where there is none. Must never know what is
compiled.

Rust comes in two ways. A compiler that has the target ``wasm32-unknown-unknown`` simply builds for
it: rustup's after ``rustup target add``, Debian's with ``libstd-rust-dev-wasm32``. One that has
only the sources of its standard library builds that as well, once: Debian's ``rustc-web`` with
``rust-web-src``. The latter is an unstable option of cargo, so the compiler is told to be lenient;
what it compiles is the same.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fluxhybrid.errors import Unavailable

__all__ = [
    "RUST_TARGET",
    "CCompiler",
    "RustToolchain",
    "c_compiler",
    "rust_toolchain",
    "target_dir",
]

RUST_TARGET: Final = "wasm32-unknown-unknown"
RUST_VERSION_MIN: Final = (1, 85)
"""What the SDK is written for."""

_PROBE_TIMEOUT_S: Final = 30
_DEBIAN_BIN: Final = Path("/usr/bin")
_RUST_HINT: Final = (
    "with rustup: rustup target add wasm32-unknown-unknown; on Debian: apt-get install"
    " --no-install-recommends rustc-web cargo-web rust-web-src rust-web-llvm lld"
)
_C_HINT: Final = "on Debian: apt-get install --no-install-recommends clang lld"


@dataclass(frozen=True, slots=True)
class RustToolchain:
    """A Rust compiler that makes WebAssembly."""

    rustc: Path
    cargo: Path
    version: tuple[int, int]
    sysroot: Path
    has_target: bool
    """Whether the target's standard library is installed; otherwise it is built from source."""
    linker: Path | None
    """A linker to name; ``None`` where the compiler brings its own."""

    @property
    def description(self) -> str:
        """Which one it is, for people."""
        how = "" if self.has_target else ", standard library from source"
        return f"{self.rustc} {self.version[0]}.{self.version[1]}{how}"

    def arguments(self) -> list[str]:
        """Arguments of ``cargo build``."""
        target = ["--target", RUST_TARGET]
        return target if self.has_target else ["-Z", "build-std=std,panic_abort", *target]

    def environment(self) -> dict[str, str]:
        """Variables on top of the process's own."""
        found = {"CARGO_TARGET_DIR": str(target_dir()), "RUSTC": str(self.rustc)}
        if not self.has_target:
            found["RUSTC_BOOTSTRAP"] = "1"
        if self.linker is not None:
            found["CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER"] = str(self.linker)
        return found

    def offline_arguments(self) -> list[str]:
        """Arguments for a project without dependencies from a registry: nothing is downloaded.

        The standard library has some of its own; its sources bring them along.
        """
        vendored = _library_sources(self.sysroot) / "vendor"
        if self.has_target or not vendored.is_dir():
            return ["--offline"]
        return [
            "--offline",
            "--config",
            'source.crates-io.replace-with="standard-library"',
            "--config",
            f'source.standard-library.directory="{vendored.resolve()}"',
        ]


@dataclass(frozen=True, slots=True)
class CCompiler:
    """A clang that makes WebAssembly."""

    clang: Path
    linker: Path

    @property
    def description(self) -> str:
        """Which one it is, for people."""
        return str(self.clang)


def target_dir() -> Path:
    """Where compiled parts are kept: outside of projects, so that the second build is quick."""
    if given := os.environ.get("CARGO_TARGET_DIR"):
        return Path(given) / "plugins"
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "fluxhybrid" / "target" / "plugins"


def rust_toolchain() -> RustToolchain:
    """The best Rust compiler there is: one that has the target before one that builds it.

    Raises:
        Unavailable: ``plugin.toolchain``, with what was found and what to install.
    """
    found = [toolchain for toolchain, _ in _rust_candidates() if toolchain is not None]
    if found:
        return max(found, key=lambda toolchain: toolchain.has_target)
    reasons = [reason for _, reason in _rust_candidates()]
    raise Unavailable(
        "plugin.toolchain",
        "no Rust compiler here makes WebAssembly: "
        + ("; ".join(reasons) or "there is none at all"),
        hint=_RUST_HINT,
    )


def _rust_candidates() -> Iterator[tuple[RustToolchain | None, str]]:
    """Each compiler in turn, or why it will not do."""
    seen: set[Path] = set()
    for rustc in (shutil.which("rustc"), str(_DEBIAN_BIN / "rustc")):
        if rustc is None or Path(rustc) in seen or not os.access(rustc, os.X_OK):
            continue
        seen.add(Path(rustc))
        yield _rust_candidate(Path(rustc))


def _rust_candidate(rustc: Path) -> tuple[RustToolchain | None, str]:
    # Cargo must be of the same making as the compiler: they know the same unstable options.
    cargo = rustc.with_name("cargo")
    if not cargo.exists():
        return None, f"{rustc} has no cargo beside it"
    version = _rust_version(rustc)
    if version is None:
        return None, f"{rustc} does not run"
    number, host = version
    if number < RUST_VERSION_MIN:
        return None, f"{rustc} is {number[0]}.{number[1]}, older than {_dotted(RUST_VERSION_MIN)}"
    sysroot = Path(_output([str(rustc), "--print", "sysroot"]) or "/nowhere")
    rustlib = sysroot / "lib" / "rustlib"
    own_linker = rustlib / host / "bin" / "rust-lld"
    linker = None if own_linker.exists() else _wasm_linker()
    if linker is None and not own_linker.exists():
        return None, f"{rustc} has no WebAssembly linker (wasm-ld)"
    has_target = any((rustlib / RUST_TARGET / "lib").glob("libstd-*.rlib"))
    if not has_target and not (_library_sources(sysroot) / "std" / "Cargo.toml").exists():
        return None, f"{rustc} has neither the target {RUST_TARGET} nor its library's sources"
    return RustToolchain(rustc, cargo, number, sysroot, has_target, linker), ""


def _rust_version(rustc: Path) -> tuple[tuple[int, int], str] | None:
    """Its version, and the name of the machine it runs on."""
    text = _output([str(rustc), "-vV"]) or ""
    release = re.search(r"^release: (\d+)\.(\d+)", text, re.MULTILINE)
    host = re.search(r"^host: (\S+)", text, re.MULTILINE)
    if release is None or host is None:
        return None
    return (int(release[1]), int(release[2])), host[1]


def _library_sources(sysroot: Path) -> Path:
    return sysroot / "lib" / "rustlib" / "src" / "rust" / "library"


def c_compiler() -> CCompiler:
    """A clang that makes WebAssembly.

    Raises:
        Unavailable: ``plugin.toolchain``, with what to install.
    """
    linker = _wasm_linker()
    for clang in _programs("clang"):
        if linker and "wasm32" in (_output([str(clang), "--print-targets"]) or ""):
            return CCompiler(clang, linker)
    missing = "no clang that makes WebAssembly" if linker else "no WebAssembly linker (wasm-ld)"
    raise Unavailable("plugin.toolchain", f"there is {missing} on PATH", hint=_C_HINT)


def _wasm_linker() -> Path | None:
    return next(_programs("wasm-ld"), None)


def _programs(name: str) -> Iterator[Path]:
    """The program of that name, then those with a version in it (``clang-19``), newest first."""
    if plain := shutil.which(name):
        yield Path(plain)
    directories = os.environ.get("PATH", os.defpath).split(os.pathsep)
    versioned = re.compile(rf"{re.escape(name)}-(\d+)")
    found: dict[int, Path] = {}
    for directory in map(Path, directories):
        for path in directory.glob(f"{name}-*") if directory.is_dir() else ():
            if (match := versioned.fullmatch(path.name)) and os.access(path, os.X_OK):
                found.setdefault(int(match[1]), path)
    yield from (found[version] for version in sorted(found, reverse=True))


def _output(command: list[str]) -> str | None:
    """What a program prints; ``None`` when it fails or does not end."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT_S,
            check=True,
            env=_plain_environment(),
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _plain_environment() -> Mapping[str, str]:
    """Without what would change which compiler answers."""
    return {name: value for name, value in os.environ.items() if name not in {"RUSTC", "RUSTFLAGS"}}


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
