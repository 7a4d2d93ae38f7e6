"""What is wrong with a configuration, in words a person can act on.

Owns the wording. Must never decide whether something is wrong: the models do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from pydantic_core import ErrorDetails

from fluxhybrid.config.settings import KeyPath, Kind, Setting, dotted, setting_at
from fluxhybrid.errors import Problem

__all__ = ["Found", "Origin", "from_validation", "redacted", "unknown_key"]

LayerName: TypeAlias = Literal["default", "file", "environment", "flag"]

_SECRET_IN_URL: Final = re.compile(r"(://[^:/@\s\"']*):[^\s\"']*@")
_SHOWN_LEN_MAX: Final = 60


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from."""

    layer: LayerName
    source: str | None = None
    """The file's path, the variable's name, the flag."""
    line: int | None = None
    column: int | None = None
    excerpt: str | None = None

    def __str__(self) -> str:
        if self.layer == "default":
            return "default"
        if self.layer == "file":
            return f"{self.source}:{self.line}" if self.line else str(self.source)
        return f"{'env' if self.layer == 'environment' else 'flag'} {self.source}"

    def problem(self, code: str, message: str, path: KeyPath, hint: str | None) -> Problem:
        """A problem with the setting at ``path``, at this place."""
        return Problem(
            code=code,
            message=message,
            hint=hint,
            pointer="".join("/" + p.replace("~", "~0").replace("/", "~1") for p in path),
            source=self.source,
            line=self.line,
            column=self.column,
            excerpt=self.excerpt,
        )


def redacted(text: str) -> str:
    """The text without passwords inside URLs."""
    return _SECRET_IN_URL.sub(r"\1:***@", text)


def unknown_key(path: KeyPath, siblings: Iterable[str], origin: Origin) -> Problem:
    """A key that is none, with the one that was probably meant."""
    siblings = sorted(siblings)
    table = f"[{dotted(path[:-1])}]" if len(path) > 1 else "the top level"
    close = get_close_matches(path[-1].lower(), siblings, n=1, cutoff=0.6)
    if close:
        hint = f'did you mean "{dotted((*path[:-1], close[0]))}"?'
    elif elsewhere := _elsewhere(path[-1]):
        hint = f'did you mean "{elsewhere}"?'
    else:
        hint = f"{table} knows: {', '.join(siblings)}"
    return origin.problem(
        "config.unknown_key", f'"{_shortened(dotted(path))}" is not a setting', path, hint
    )


def _elsewhere(name: str) -> str | None:
    """The full name of a setting of this name in another section, if there is just one."""
    from fluxhybrid.config.settings import settings

    found = [path for path in settings() if path[-1] == name]
    return dotted(found[0]) if len(found) == 1 else None


class Found(NamedTuple):
    """A problem and the settings that take part in it."""

    problem: Problem
    paths: frozenset[KeyPath]


def from_validation(error: ErrorDetails, origins: Mapping[KeyPath, Origin]) -> Found:
    """The problem behind one of pydantic's complaints."""
    context = error.get("ctx") or {}
    path = tuple(str(part) for part in error["loc"])
    table = path
    if "key" in context:
        path = (*table, *_parts(context["key"], setting_at(table)))
    setting = setting_at(path)
    if setting is None:
        raise KeyError(dotted(path))
    # Unions add the name of a member to the location: cut back to the key itself.
    path = path[: len(setting.path) + (1 if setting.kind is Kind.TABLE else 0)]
    paths = [path]
    if "beside" in context:
        paths.append((*table, *_parts(context["beside"], None)))
    origin = next((origins[p] for p in paths if p in origins), Origin("default"))
    what, hint = _in_words(error, context, setting)
    problem = origin.problem("config.invalid_value", f"{dotted(path)} {what}", path, hint)
    return Found(problem, frozenset(paths))


def _parts(key: Any, table: Setting | None) -> KeyPath:
    """The keys a validator names; in a table of the user's own, dots are part of the name."""
    return (str(key),) if table is not None else tuple(str(key).split("."))


def _in_words(error: ErrorDetails, context: Mapping[str, Any], setting: Setting) -> tuple[str, str]:
    kind = error["type"]
    value = error["input"]
    if "reason" in context:
        shown = f", is {_shown(value)}" if kind == "quantity" else ""
        return str(context["reason"]) + shown, str(context.get("hint") or _example(setting))
    if kind in ("greater_than_equal", "less_than_equal"):
        low = kind == "greater_than_equal"
        bound = setting.text_of(setting.least if low else setting.most)
        limit = "at least" if low else "at most"
        return f"must be {limit} {bound}, is {setting.text_of(value)}", _range(setting)
    if kind == "multiple_of":
        step = context["multiple_of"]
        return f"must be a multiple of {step}, is {setting.text_of(value)}", _example(setting)
    if kind == "literal_error":
        close = get_close_matches(str(value), setting.choices, n=1)
        choices = ", ".join(f'"{choice}"' for choice in setting.choices)
        hint = f'did you mean "{close[0]}"?' if close else f"write one of {choices}"
        return f"must be one of {choices}, is {_shown(value)}", hint
    if kind == "string_too_short" or value == "":
        return "must not be empty", _example(setting)
    if kind in ("string_too_long", "too_long"):
        return f"is longer than the {context['max_length']} it may have", "make it shorter"
    if kind == "string_pattern_mismatch":
        return f"has letters it may not have: {_shown(value)}", _example(setting)
    if kind == "finite_number":
        return "must be a finite number", _example(setting)
    if setting.kind is Kind.TABLE:
        return f"must be text, a number or a boolean, is {_shown(value)}", "write a single value"
    return f"must be {_article(setting.kind)}, is {_shown(value)}", _example(setting)


def _article(kind: Kind) -> str:
    return {
        Kind.TEXT: "text",
        Kind.TABLES: "an array of tables",
        Kind.BOOLEAN: "true or false",
    }.get(kind, f"a {kind.value}")


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'the text "{_shortened(redacted(value))}"'
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, int | float):
        return f"the number {_shortened(str(value))}"
    return f"a {type(value).__name__}"


def _shortened(text: str) -> str:
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= _SHOWN_LEN_MAX else text[: _SHOWN_LEN_MAX - 1] + "…"


def _range(setting: Setting) -> str:
    return (
        f"choose between {setting.text_of(setting.least)} and {setting.text_of(setting.most)}; "
        f"the default is {setting.text_of(setting.default)}"
    )


def _example(setting: Setting) -> str:
    from fluxhybrid.config.show import toml_value

    if setting.default is None:
        return f"leave {dotted(setting.path)} out, or give it a {setting.kind.value}"
    return f"for example: {setting.path[-1]} = {toml_value(setting, setting.default)}"
