"""What is shipped is whole."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest


@pytest.mark.slow
def test_sdist_holds_everything_a_build_needs(project_root: Path, tmp_path: Path) -> None:
    carried = project_root / "python" / "fluxhybrid" / "plugins"
    built = [str(path.relative_to(project_root)) for path in carried.glob("ready/*")]
    assert built, "the plugins are not built: make plugins"
    made = subprocess.run(
        [sys.executable, "-m", "maturin", "sdist", "--out", tmp_path],
        cwd=project_root,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as contents:
        contents.extractall(tmp_path, filter="data")
    (root,) = (path for path in tmp_path.iterdir() if path.is_dir())
    for needed in ("PKG-INFO", "LICENSE", "README.md", "pyproject.toml", "Cargo.lock",
                   "python/fluxhybrid/py.typed", "python/fluxhybrid/config/model.py",
                   "python/fluxhybrid/plugins/sdk_source/sdk/src/lib.rs", *built):  # fmt: skip
        assert (root / needed).is_file(), needed
    assert not list(root.rglob("*.so"))
    described = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--locked", "--offline", "--format-version", "1",
         "--manifest-path", root / "rust/flux-py/Cargo.toml"],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert described.returncode == 0, described.stderr
    packages = {package["name"] for package in json.loads(described.stdout)["packages"]}
    assert {"flux-py", "flux-engine", "flux-types"} <= packages
