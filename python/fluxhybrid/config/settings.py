"""The settings one by one: path, kind, bounds, default, as the models declare them.

Owns the walk over the models, so that the file reader, the environment, error messages and the
reference all see the same list. Must never repeat what a model says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeAlias, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import PlainSerializer
from pydantic.fields import FieldInfo

from fluxhybrid.config.model import Config
from fluxhybrid.config.quantities import format_bytes, format_duration
from fluxhybrid.config.section import Section

__all__ = ["KeyPath", "Kind", "Setting", "dotted", "section_of", "setting_at", "settings"]

KeyPath: TypeAlias = tuple[str, ...]
"""Where a setting is: ``("mqtt", "port")``."""


class Kind(StrEnum):
    """What may be written for a setting."""

    INTEGER = "whole number"
    FLOAT = "number"
    BOOLEAN = "boolean"
    TEXT = "text"
    CHOICE = "choice"
    PATH = "path"
    DURATION = "duration"
    BYTES = "size in bytes"
    TABLE = "table"
    TABLES = "array of tables"


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the configuration."""

    path: KeyPath
    kind: Kind
    default: Any
    description: str
    choices: tuple[str, ...]
    least: Any
    most: Any
    reserved: bool

    @property
    def env_name(self) -> str:
        """The environment variable that sets it."""
        return "FLUXHYBRID_" + "__".join(part.upper() for part in self.path)

    def text_of(self, value: Any) -> str:
        """The value as a person would write it, without quotes."""
        if isinstance(value, timedelta):
            return format_duration(value)
        if self.kind is Kind.BYTES and isinstance(value, int):
            return format_bytes(value)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, Path) and not value.is_absolute() and not str(value).startswith("."):
            return f"./{value}"
        return str(value)


def dotted(path: KeyPath) -> str:
    """``mqtt.port`` for ``("mqtt", "port")``."""
    return ".".join(path)


@cache
def settings() -> dict[KeyPath, Setting]:
    """Every setting by its path, in the order of the models. ``site.env`` is one setting."""
    return {setting.path: setting for setting in _walk(Config, ())}


def setting_at(path: KeyPath) -> Setting | None:
    """The setting a path belongs to; a key of ``[site.env]`` belongs to ``site.env``."""
    known = settings()
    for end in range(len(path), 0, -1):
        if setting := known.get(path[:end]):
            return setting
    return None


def section_of(field: FieldInfo) -> type[Section] | None:
    """The model behind a field that is a table of its own."""
    annotation = field.annotation
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return None


def _walk(model: type[Section], path: KeyPath) -> Iterator[Setting]:
    for name, field in model.model_fields.items():
        if section := section_of(field):
            yield from _walk(section, (*path, name))
        else:
            yield _setting((*path, name), field)


def _setting(path: KeyPath, field: FieldInfo) -> Setting:
    extra = field.json_schema_extra
    kind = _kind(field)
    return Setting(
        path=path,
        kind=kind,
        default=field.get_default(call_default_factory=True, validated_data={}),
        description=field.description or "",
        choices=get_args(field.annotation) if kind is Kind.CHOICE else (),
        least=next((mark.ge for mark in field.metadata if isinstance(mark, Ge)), None),
        most=next((mark.le for mark in field.metadata if isinstance(mark, Le)), None),
        reserved=isinstance(extra, dict) and bool(extra.get("reserved")),
    )


def _kind(field: FieldInfo) -> Kind:
    annotation: Any = field.annotation
    if get_origin(annotation) is Literal:
        return Kind.CHOICE
    if get_origin(annotation) is dict:
        return Kind.TABLE
    if get_origin(annotation) is list:
        return Kind.TABLES
    members = set(get_args(annotation)) - {NoneType} or {annotation}
    if any(
        isinstance(mark, PlainSerializer) and mark.func is format_bytes for mark in field.metadata
    ):
        return Kind.BYTES
    kinds = {
        bool: Kind.BOOLEAN,
        int: Kind.INTEGER,
        float: Kind.FLOAT,
        str: Kind.TEXT,
        Path: Kind.PATH,
        timedelta: Kind.DURATION,
    }
    for member in members:
        if kind := kinds.get(member):
            return kind
    raise TypeError(f"no kind for a setting declared as {annotation!r}")
