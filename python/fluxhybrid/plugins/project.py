"""A plugin's directory: what ``plugin.toml`` says, and where its parts lie.

Owns reading it. Must never build or run anything.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from fluxhybrid.errors import Invalid, NotFound, Problem

__all__ = ["ID", "Language", "Project", "read_project"]

Language: TypeAlias = Literal["rust", "c"]

ID: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""A plugin's id: the name of its module, and what a product calls it."""

_MANIFEST: Final = "plugin.toml"
_FIELDS: Final = {"id", "title", "about", "language", "version", "license", "mode", "sources"}


@dataclass(frozen=True, slots=True)
class Project:
    """What the tools know about a plugin beside its code."""

    directory: Path
    id: str
    language: Language
    title: str
    about: str = ""
    version: str | None = None
    """Of a C plugin; a Rust plugin's stands in its ``Cargo.toml``."""
    license: str | None = None
    mode: Literal["reuse", "fresh"] = "reuse"
    """Whether instances serve many calls, or each call gets a new one."""
    sources: tuple[str, ...] = field(default=("src/*.c",))
    """Patterns of a C plugin's files, from its directory."""

    @property
    def vectors(self) -> list[Path]:
        """Its files of vectors, in order."""
        return sorted((self.directory / "vectors").glob("*.json"))


def read_project(directory: Path) -> Project:
    """The plugin in a directory.

    Raises:
        NotFound: ``plugin.project``, there is no ``plugin.toml``.
        Invalid: ``plugin.project``, with every problem.
    """
    file = directory / _MANIFEST
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        raise NotFound(
            "plugin.project",
            f"{directory} is no plugin: there is no {_MANIFEST}",
            hint="fluxhybrid plugin new NAME makes one",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid("plugin.project", f"cannot be read: {error}", source=str(file)) from None
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid("plugin.project", f"is no TOML: {error}", source=str(file)) from None
    problems = list(_problems(content, str(file)))
    if problems:
        raise Invalid("plugin.project", f"{file} is not valid", problems=problems)
    content.setdefault("title", content["id"])
    content.setdefault("language", "rust")
    if "sources" in content:
        content["sources"] = tuple(content["sources"])
    return Project(directory=directory, **content)


def _problems(content: dict[str, Any], file: str) -> list[Problem]:
    def problem(name: str, message: str, hint: str | None = None) -> Problem:
        return Problem("plugin.project", message, hint, pointer=f"/{name}", source=file)

    found = [
        problem(name, f'"{name}" is not known', f"there is {', '.join(sorted(_FIELDS))}")
        for name in content
        if name not in _FIELDS
    ]
    if not isinstance(content.get("id"), str) or not ID.fullmatch(content["id"]):
        hint = 'small letters, digits and _, such as id = "meter_2"'
        found.append(problem("id", '"id" must name the plugin', hint))
    if content.get("language", "rust") not in {"rust", "c"}:
        found.append(problem("language", '"language" must be "rust" or "c"'))
    if content.get("mode", "reuse") not in {"reuse", "fresh"}:
        found.append(problem("mode", '"mode" must be "reuse" or "fresh"'))
    found += [
        problem(name, f'"{name}" must be text')
        for name in ("title", "about", "version", "license")
        if not isinstance(content.get(name, ""), str)
    ]
    sources = content.get("sources", [])
    if not isinstance(sources, list) or not all(isinstance(source, str) for source in sources):
        found.append(problem("sources", '"sources" must be a list of patterns'))
    return found
