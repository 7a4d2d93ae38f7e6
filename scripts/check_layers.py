"""Check that each Rust crate only knows the crates it may know.

Owns the rules of the house for dependencies between crates. Reads ``cargo metadata`` and nothing
else; must never need a build.

The rules: ``{flux-types, flux-plugin-abi} -> {flux-bus, flux-log} -> organs -> flux-pipeline ->
flux-engine -> flux-py``, downwards only; organs never depend on one another; only flux-py knows
PyO3, only flux-wasm the plugins' ABI (a crate of the workspace in ``plugins/``) and wasmtime.
Tests' dependencies count as well: an organ tested with another is not an organ of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["LAYERS", "main", "violations"]

LAYERS: Final[tuple[frozenset[str], ...]] = (
    frozenset({"flux-types", "flux-plugin-abi"}),
    frozenset({"flux-bus", "flux-log"}),
    frozenset(
        {
            "flux-registry",
            "flux-net",
            "flux-mqtt",
            "flux-gateway",
            "flux-wasm",
            "flux-rules",
            "flux-tsdb",
            "flux-flow",
        }
    ),
    frozenset({"flux-pipeline"}),
    frozenset({"flux-engine"}),
    frozenset({"flux-py"}),
)
"""From the bottom up; a crate may know those of lower layers, never those beside it."""

OUTSIDE: Final = frozenset({"flux-benches"})
"""Members of the workspace that measure the others and may know them all."""

ONLY_HOME: Final[Mapping[str, str]] = {
    "flux-plugin-abi": "flux-wasm",
    "wasmtime": "flux-wasm",
    "pyo3": "flux-py",
    "pyo3-ffi": "flux-py",
    "pyo3-build-config": "flux-py",
}
"""Libraries that only one crate may know."""


def violations(metadata: Mapping[str, Any]) -> list[str]:
    """Every broken rule in the output of ``cargo metadata --no-deps``, as a sentence."""
    level = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    found: list[str] = []
    for package in metadata["packages"]:
        name: str = package["name"]
        if name in OUTSIDE:
            continue
        if name not in level:
            found.append(f"{name} has no layer: give it one in scripts/check_layers.py")
            continue
        found += _of_package(name, {d["name"] for d in package["dependencies"]}, level)
    return found


def _of_package(name: str, known: Iterable[str], level: Mapping[str, int]) -> Iterable[str]:
    for other in sorted(known):
        if ONLY_HOME.get(other, name) != name:
            yield f"{name} knows {other}, which only {ONLY_HOME[other]} may know"
        elif other in OUTSIDE:
            yield f"{name} knows {other}, which nobody may know"
        elif other in level and other != name and level[other] >= level[name]:
            relation = "beside" if level[other] == level[name] else "above"
            yield (
                f"{name} knows {other}, which stands {relation} it: what it needs from there is a "
                "trait in its own ports.rs"
            )


def main() -> int:
    """Check the workspace around this script; 0 if it keeps the rules."""
    root = Path(__file__).resolve().parent.parent
    output = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version", "1"],
        cwd=root,
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    found = violations(json.loads(output))
    for sentence in found:
        print(f"layers: {sentence}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
