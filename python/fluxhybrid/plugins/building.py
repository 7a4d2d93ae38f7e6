"""Making a module of a plugin's sources.

Owns the commands that are run, and what lies beside a built module: ``<id>.wasm``,
``<id>.vectors.json`` with everything it is tried with, ``<id>.toml`` with what people are told.
Must never look for compilers: ``toolchain`` does.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from fluxhybrid.errors import Invalid
from fluxhybrid.plugins.project import Project, read_project
from fluxhybrid.plugins.toolchain import RustToolchain, c_compiler, rust_toolchain, target_dir
from fluxhybrid.plugins.vectors import read_all

__all__ = ["MODULE_BYTES_MAX", "Built", "build", "build_all"]

MODULE_BYTES_MAX: Final = 4 * 2**20
"""A host refuses a larger one; the ready ones have a hundred kilobytes."""

_FOR_THIS_MACHINE_ONLY: Final = {"RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER"}
"""Variables that change code for this machine, such as the measuring of coverage."""

_C_FLAGS: Final = (
    "--target=wasm32-unknown-unknown",
    "-std=c11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-ffreestanding",
    "-nostdlib",
    "-mbulk-memory",
    "-fvisibility=hidden",
    "-Wl,--no-entry",
    "-Wl,--strip-all",
    "-Wl,-z,stack-size=65536",
)


@dataclass(frozen=True, slots=True)
class Built:
    """A built plugin."""

    project: Project
    module: Path
    vectors: Path
    manifest: Path
    compiler: str


class _Module(NamedTuple):
    path: Path
    version: str
    compiler: str


def build(directory: Path, destination: Path | None = None) -> Built:
    """Build the plugin in a directory.

    Args:
        directory: where its ``plugin.toml`` is.
        destination: where the module goes; left out, ``dist`` in the directory.

    Raises:
        NotFound, Invalid: the directory is no plugin, or its sources do not compile.
        Unavailable: ``plugin.toolchain``, there is no compiler.
    """
    return _build([read_project(directory)], destination or directory / "dist")[0]


def build_all(workspace: Path, destination: Path) -> list[Built]:
    """Build every plugin in a directory of plugins, the Rust ones in one go.

    Raises:
        As ``build``.
    """
    projects = [read_project(file.parent) for file in sorted(workspace.glob("*/plugin.toml"))]
    return _build(projects, destination)


def _build(projects: Sequence[Project], destination: Path) -> list[Built]:
    rust = [project for project in projects if project.language == "rust"]
    modules = _rust_modules(rust) if rust else {}
    modules |= {p.id: _c_module(p) for p in projects if p.language == "c"}
    destination.mkdir(parents=True, exist_ok=True)
    return [_deliver(project, modules[project.id], destination) for project in projects]


def _deliver(project: Project, module: _Module, destination: Path) -> Built:
    """Put a module and what belongs to it where it is wanted; a file is whole or as it was."""
    content = module.path.read_bytes()
    if len(content) > MODULE_BYTES_MAX:
        raise Invalid("plugin.build", f"the module has more than {MODULE_BYTES_MAX} bytes")
    vectors, _ = read_all(project.vectors)
    files = {
        "vectors.json": json.dumps(vectors, ensure_ascii=False, indent=1).encode() + b"\n",
        "toml": _manifest(project, module.version),
        # Last: who watches the directory finds the rest in place.
        "wasm": content,
    }
    paths = {ending: destination / f"{project.id}.{ending}" for ending in files}
    for ending, data in files.items():
        _replace(paths[ending], data)
    return Built(project, paths["wasm"], paths["vectors.json"], paths["toml"], module.compiler)


def _manifest(project: Project, version: str) -> bytes:
    """``plugin.toml`` as the host wants it, with the version wherever that came from."""
    content = {
        "id": project.id,
        "title": project.title,
        "about": project.about,
        "version": version,
        "license": project.license,
        "mode": project.mode,
    }
    # A string is written in TOML as it is in JSON.
    lines = (f"{name} = {json.dumps(text)}" for name, text in content.items() if text)
    return ("\n".join(lines) + "\n").encode()


def _replace(path: Path, content: bytes) -> None:
    if path.exists() and path.read_bytes() == content:
        return
    half = path.with_name(f".{path.name}.new")
    half.write_bytes(content)
    half.replace(path)


# --- Rust ---------------------------------------------------------------------------------------


def _rust_modules(projects: Sequence[Project]) -> dict[str, _Module]:
    """By plugin's id. All are of one workspace."""
    toolchain = rust_toolchain()
    environment = _environment(toolchain.environment())
    directory = projects[0].directory
    metadata = json.loads(
        _run(
            [str(toolchain.cargo), "metadata", "--no-deps", "--format-version", "1"],
            directory,
            environment,
        )
    )
    packages = {project.id: _package(metadata, project) for project in projects}
    command = [
        *(str(toolchain.cargo), "build", "--release", "--message-format=json-render-diagnostics"),
        *toolchain.arguments(),
        *(() if _needs_a_registry(metadata) else toolchain.offline_arguments()),
        *(word for package in packages.values() for word in ("--package", package["name"])),
    ]
    modules = _artifacts(_run(command, directory, environment))
    return {name: _module(package, modules, toolchain) for name, package in packages.items()}


def _package(metadata: Mapping[str, Any], project: Project) -> Mapping[str, Any]:
    manifest = (project.directory / "Cargo.toml").resolve()
    for package in metadata["packages"]:
        if Path(package["manifest_path"]) == manifest:
            found: Mapping[str, Any] = package
            return found
    raise Invalid(
        "plugin.build",
        f"{manifest} is no package of the workspace in {metadata['workspace_root']}",
        hint="write an empty [workspace] table into it, or make it a member",
    )


def _needs_a_registry(metadata: Mapping[str, Any]) -> bool:
    lock = Path(metadata["workspace_root"]) / "Cargo.lock"
    if lock.exists():
        return 'source = "registry+' in lock.read_text("utf-8")
    return any(d["source"] for package in metadata["packages"] for d in package["dependencies"])


def _artifacts(output: str) -> dict[str, Path]:
    """Modules by their package's id, out of cargo's messages."""
    messages = (json.loads(line) for line in output.splitlines() if line.startswith("{"))
    return {
        message["package_id"]: Path(file)
        for message in messages
        if message["reason"] == "compiler-artifact"
        for file in message["filenames"]
        if file.endswith(".wasm")
    }


def _module(
    package: Mapping[str, Any], modules: Mapping[str, Path], toolchain: RustToolchain
) -> _Module:
    if package["id"] not in modules:
        raise Invalid(
            "plugin.build",
            f"{package['name']} makes no module",
            source=package["manifest_path"],
            hint='write crate-type = ["cdylib", "lib"] under [lib]',
        )
    return _Module(modules[package["id"]], package["version"], toolchain.description)


# --- C ------------------------------------------------------------------------------------------


def _c_module(project: Project) -> _Module:
    compiler = c_compiler()
    sources = sorted({file for text in project.sources for file in project.directory.glob(text)})
    if not sources:
        raise Invalid("plugin.build", f"there are no sources in {project.directory}")
    module = target_dir() / "c" / f"{project.id}.wasm"
    module.parent.mkdir(parents=True, exist_ok=True)
    command = [str(compiler.clang), *_C_FLAGS, f"-fuse-ld={compiler.linker}", "-o", str(module)]
    # An output of an earlier build must not pass for one of this.
    module.unlink(missing_ok=True)
    relative = [str(source.relative_to(project.directory)) for source in sources]
    _run([*command, *relative], project.directory, _environment({}))
    return _Module(module, project.version or "0.0.0", compiler.description)


# --- running ------------------------------------------------------------------------------------


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    own = {name: text for name, text in os.environ.items() if name not in _FOR_THIS_MACHINE_ONLY}
    return {**own, **more}


def _run(command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> str:
    """What a compiler prints on standard output; its complaints go where people see them."""
    program = shutil.which(command[0]) or command[0]
    done = subprocess.run(
        [program, *command[1:]],
        cwd=directory,
        env=dict(environment),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        name = Path(program).name
        raise Invalid("plugin.build", f"{name} failed in {directory}; its own words stand above")
    return done.stdout
