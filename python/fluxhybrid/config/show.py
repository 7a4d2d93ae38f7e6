"""A configuration, written down again.

Owns the output of ``config show``. Must never show a password.
"""

from __future__ import annotations

import json
from typing import Any

from fluxhybrid.config.database import database_url_for_display
from fluxhybrid.config.layers import Loaded
from fluxhybrid.config.model import Config
from fluxhybrid.config.settings import KeyPath, Kind, Setting, settings

__all__ = ["as_json", "as_toml", "toml_value"]


def as_toml(loaded: Loaded, *, origins: bool = False) -> str:
    """The configuration as TOML that reads back the same; with origins as comments."""
    lines: list[str] = []
    table: KeyPath = ()
    for path, setting, value in _entries(loaded.config):
        if path[:-1] != table:
            table = path[:-1]
            lines += ["", f"[{'.'.join(table)}]"]
        key = _toml_key(path[-1])
        line = f"# {key} is not set" if value is None else f"{key} = {toml_value(setting, value)}"
        lines.append(f"{line}  # {loaded.origin(path)}" if origins else line)
    return "\n".join(lines) + "\n"


def as_json(loaded: Loaded, *, origins: bool = False) -> str:
    """The configuration as JSON; with origins every value is ``{"value": …, "origin": …}``."""
    tree: dict[str, Any] = {}
    for path, setting, value in _entries(loaded.config):
        table = tree
        for part in path[:-1]:
            table = table.setdefault(part, {})
        plain = _plain(setting, value)
        table[path[-1]] = {"value": plain, "origin": str(loaded.origin(path))} if origins else plain
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"


def toml_value(setting: Setting, value: Any) -> str:
    """A value in TOML's notation."""
    plain = _plain(setting, value)
    return _inline(plain)


def _inline(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for DEL, which JSON leaves bare and TOML forbids.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    if isinstance(value, dict):
        pairs = (f"{_toml_key(key)} = {_inline(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    return repr(value)


def _plain(setting: Setting, value: Any) -> Any:
    if setting.path == ("database", "url"):
        return database_url_for_display(str(value))
    if setting.kind in (Kind.PATH, Kind.DURATION, Kind.BYTES) and value is not None:
        return setting.text_of(value)
    return value


def _entries(config: Config) -> list[tuple[KeyPath, Setting, Any]]:
    entries: list[tuple[KeyPath, Setting, Any]] = []
    for path, setting in settings().items():
        value: Any = config
        for part in path:
            value = getattr(value, part)
        if setting.kind is Kind.TABLE:
            entries += [((*path, name), setting, item) for name, item in value.items()]
        else:
            entries.append((path, setting, value))
    return entries


def _toml_key(key: str) -> str:
    bare = key.isascii() and key.replace("_", "a").replace("-", "a").isalnum()
    return key if bare else json.dumps(key)
