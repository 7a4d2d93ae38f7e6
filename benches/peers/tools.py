"""The programs that are needed, and where they are.

Builds the generator when it is not there; says what to install when a peer is not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["ROOT", "MissingToolError", "Tools", "find_tools", "need", "target"]

ROOT: Final = Path(__file__).resolve().parents[2]


class MissingToolError(Exception):
    """A program is not installed."""


@dataclass(frozen=True)
class Tools:
    """Paths of the programs."""

    flux_load: Path
    flux_engine_bench: Path


def need(program: str, package: str) -> str:
    """The path of a program, or an error that says how to get it."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise MissingToolError(f"{program} is not installed (Debian: apt-get install {package})")
    return found


def target() -> Path:
    """Where cargo builds."""
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def find_tools(*, build: bool = True) -> Tools:
    """Build the two programs as shipped, and find them."""
    if build:
        command = ["cargo", "build", "--release", "--quiet", "-p", "flux-benches", "--bins"]
        subprocess.run(command, cwd=ROOT, check=True)
    release = target() / "release"
    tools = Tools(release / "flux-load", release / "flux-engine-bench")
    for tool in (tools.flux_load, tools.flux_engine_bench):
        if not tool.exists():
            raise MissingToolError(f"{tool} is not built; leave --no-build out")
    return tools


def python() -> str:
    """The interpreter that has fluxhybrid installed."""
    return sys.executable
