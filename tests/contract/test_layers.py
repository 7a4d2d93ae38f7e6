"""The checks of the house's layers catch what they are there for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import check_layers
import rust_coverage


def workspace(**known: list[str]) -> dict[str, Any]:
    return {
        "packages": [
            {"name": name.replace("_", "-"), "dependencies": [{"name": other} for other in others]}
            for name, others in known.items()
        ]
    }


def test_crates_that_keep_the_rules_pass() -> None:
    good = workspace(
        flux_types=["serde"],
        flux_log=["flux-types"],
        flux_mqtt=["flux-types", "flux-log"],
        flux_pipeline=["flux-mqtt", "flux-types"],
        flux_wasm=["flux-plugin-abi", "flux-types", "wasmtime"],
        flux_py=["flux-engine", "pyo3"],
        flux_benches=["flux-mqtt", "flux-py"],
    )
    assert check_layers.violations(good) == []


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (
            workspace(flux_mqtt=["flux-registry"]),
            "flux-mqtt knows flux-registry, which stands beside",
        ),
        (workspace(flux_types=["flux-log"]), "flux-types knows flux-log, which stands above"),
        (workspace(flux_log=["flux-bus"]), "flux-log knows flux-bus, which stands beside"),
        (workspace(flux_engine=["pyo3"]), "flux-engine knows pyo3, which only flux-py may know"),
        (
            workspace(flux_pipeline=["flux-plugin-abi"]),
            "flux-pipeline knows flux-plugin-abi, which only flux-wasm may know",
        ),
        (workspace(flux_net=["flux-benches"]), "flux-net knows flux-benches, which nobody"),
        (workspace(flux_new=[]), "flux-new has no layer"),
    ],
)
def test_broken_rule_is_told(bad: dict[str, Any], says: str) -> None:
    (found,) = check_layers.violations(bad)
    assert found.startswith(says)


def test_crates_of_this_checkout_keep_the_rules(project_root: Path) -> None:
    outcome = subprocess.run(
        [sys.executable, project_root / "scripts/check_layers.py"], capture_output=True, text=True
    )
    assert (outcome.returncode, outcome.stderr) == (0, "")


def test_coverage_counts_what_ships() -> None:
    def file(name: str, count: int, covered: int) -> dict[str, Any]:
        return {
            "filename": name,
            "summary": {"lines": {"count": count, "covered": covered}},
        }

    crates = rust_coverage.by_crate(
        [
            file("/c/rust/flux-log/src/lib.rs", 10, 5),
            file("/c/rust/flux-log/src/disk/real.rs", 10, 10),
            file("/c/rust/flux-log/src/disk/tests.rs", 100, 100),
            file("/c/rust/flux-log/src/tests/a.rs", 100, 100),
            file("/c/rust/flux-log/tests/a.rs", 100, 100),
            file("/c/benches/rust/src/lib.rs", 100, 0),
            file("/elsewhere/serde/src/lib.rs", 100, 0),
        ],
        Path("/c"),
    )
    assert crates == {"flux-log": rust_coverage.Lines(20, 15)}
    assert crates["flux-log"].percent == 75.0
    assert rust_coverage.Lines(0, 0).percent == 100.0
