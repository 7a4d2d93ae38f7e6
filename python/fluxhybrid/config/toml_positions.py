"""Where each key of a TOML document stands.

Owns line and column of keys, which the standard library's reader does not tell. Must only see
documents that reader has accepted: it skips over values instead of checking them (TOML 1.0.0).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

__all__ = ["KeyPlace", "TomlPath", "key_positions"]

TomlPath: TypeAlias = tuple[str | int, ...]
"""Keys from the root; a number counts the tables of an array."""


class KeyPlace(NamedTuple):
    """Line and column, both counted from 1, column in characters."""

    line: int
    column: int


_SPACE: Final = " \t\r\n"
_BARE_END: Final = frozenset(" \t\r\n.=]")
_VALUE_END: Final = frozenset(",]}#\n")


def key_positions(text: str) -> dict[TomlPath, KeyPlace]:
    """The first place of every table and key of a valid TOML document."""
    return _Walk(text.replace("\r\n", "\n")).places()


class _Walk:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: dict[TomlPath, KeyPlace] = {}
        self._array_lens: dict[TomlPath, int] = {}
        self._line = 1
        self._line_start = 0
        self._counted_to = 0

    def places(self) -> dict[TomlPath, KeyPlace]:
        table: TomlPath = ()
        while self._skip_blank():
            if self._looking_at("["):
                table = self._header()
            else:
                self._key_value(table)
        return self._found

    def _looking_at(self, token: str) -> bool:
        return self._text.startswith(token, self._at)

    def _skip_blank(self) -> bool:
        """Past white space and comments; false at the end."""
        while self._at < len(self._text):
            if self._text[self._at] in _SPACE:
                self._at += 1
            elif self._looking_at("#"):
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            else:
                return True
        return False

    def _header(self) -> TomlPath:
        is_array = self._looking_at("[[")
        self._at += 2 if is_array else 1
        path: TomlPath = ()
        for part, place in self._key():
            path = (*path, part)
            self._found.setdefault(path, place)
            # A table under an array of tables belongs to the array's latest one.
            if path in self._array_lens:
                path = (*path, self._array_lens[path] - 1)
        if is_array:
            array = path[:-1] if isinstance(path[-1], int) else path
            index = self._array_lens.get(array, 0)
            self._array_lens[array] = index + 1
            path = (*array, index)
            self._found.setdefault(path, self._found[array])
        self._at += 2 if is_array else 1
        return path

    def _key_value(self, table: TomlPath) -> None:
        path = table
        for part, place in self._key():
            path = (*path, part)
            self._found.setdefault(path, place)
        self._at += 1  # the equals sign
        self._value(path)

    def _key(self) -> Iterator[tuple[str, KeyPlace]]:
        """The parts of a possibly dotted key, up to what ends it."""
        while True:
            self._skip_blank()
            place = self._place()
            yield self._key_part(), place
            self._skip_blank()
            if not self._looking_at("."):
                return
            self._at += 1

    def _key_part(self) -> str:
        start = self._at
        if self._text[start] in "\"'":
            self._string()
            quoted = self._text[start : self._at]
            return _unquoted(quoted)
        while self._at < len(self._text) and self._text[self._at] not in _BARE_END:
            self._at += 1
        return self._text[start : self._at]

    def _value(self, path: TomlPath) -> None:
        self._skip_blank()
        if self._looking_at('"') or self._looking_at("'"):
            self._string()
        elif self._looking_at("["):
            self._array(path)
        elif self._looking_at("{"):
            self._inline_table(path)
        else:
            while self._at < len(self._text) and self._text[self._at] not in _VALUE_END:
                self._at += 1

    def _string(self) -> None:
        quote = self._text[self._at]
        if self._looking_at(quote * 3):
            self._at += 3
            while not self._looking_at(quote * 3):
                self._at += 2 if quote == '"' and self._looking_at("\\") else 1
            self._at += 3
            # One or two quotes may stand right before the closing three.
            while self._looking_at(quote):
                self._at += 1
            return
        self._at += 1
        while not self._looking_at(quote):
            self._at += 2 if quote == '"' and self._looking_at("\\") else 1
        self._at += 1

    def _array(self, path: TomlPath) -> None:
        self._at += 1
        index = 0
        while self._skip_blank() and not self._looking_at("]"):
            if self._looking_at(","):
                self._at += 1
                continue
            self._found.setdefault((*path, index), self._place())
            self._value((*path, index))
            index += 1
        self._at += 1

    def _inline_table(self, path: TomlPath) -> None:
        self._at += 1
        while self._skip_blank() and not self._looking_at("}"):
            if self._looking_at(","):
                self._at += 1
                continue
            self._key_value(path)
        self._at += 1

    def _place(self) -> KeyPlace:
        # Positions are asked for in rising order: count only what is new.
        newlines = self._text.count("\n", self._counted_to, self._at)
        if newlines:
            self._line += newlines
            self._line_start = self._text.rfind("\n", 0, self._at) + 1
        self._counted_to = self._at
        return KeyPlace(self._line, self._at - self._line_start + 1)


def _unquoted(quoted: str) -> str:
    if quoted.startswith("'"):
        return quoted[1:-1]
    import tomllib

    key: str = tomllib.loads(f"k = {quoted}")["k"]
    return key
