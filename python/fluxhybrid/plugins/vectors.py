"""Recorded vectors: a call, and what must come of it.

Owns their format. Must never call a plugin. ``flux_plugin_sdk::testing`` reads the same format, and
so does the host before it puts a new module to work; ``docs/plugin_sdk.md`` describes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from fluxhybrid.errors import Invalid, NotFound, Problem

__all__ = ["Expected", "Input", "Told", "Vector", "read_all", "read_vectors"]

_FILE_BYTES_MAX: Final = 64 * 2**20


def _from_hex(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise ValueError("write pairs of hexadecimal digits, such as 01 ff") from None


def _from_state(value: Any) -> Any:
    return value if value == "*" else _from_hex(value)


Hex = Annotated[bytes, BeforeValidator(_from_hex)]
State = Annotated[bytes | Literal["*"] | None, BeforeValidator(_from_state)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Told(_Model):
    """What a call is told beside its input."""

    source: str = ""
    topic: str = ""
    device: str = ""
    received_ns: int = 0
    settings: dict[str, Any] | None = None
    request: Hex | None = None
    state: Hex | None = None
    state_of: str | None = None
    """The name of an earlier vector, whose state is meant."""
    subject: dict[str, Any] | None = None


class Input(_Model):
    """What a call is given: exactly one of these."""

    hex: Hex | None = None
    text: str | None = None
    command: dict[str, Any] | None = Field(None, alias="json")
    """Of ``encode``."""
    message: dict[str, Any] | None = None
    """Of ``on_msg`` and ``on_action``."""
    batch: list[Input] | None = None
    """Of ``decode_batch``."""

    @model_validator(mode="after")
    def _is_one(self) -> Input:
        if len(self.model_fields_set) != 1:
            raise ValueError("give exactly one of hex, text, json, message, batch")
        return self

    @property
    def raw(self) -> bytes:
        """The bytes of ``hex`` or ``text``."""
        return (self.text or "").encode() if self.hex is None else self.hex


class Expected(_Model):
    """What must come of a call; what is not named must be absent."""

    messages: list[dict[str, Any]] = []
    frames: list[Hex] = []
    effects: list[dict[str, Any]] = []
    state: State = None
    """``*`` is any new state."""
    error: str | None = None
    """The error's code."""
    items: list[Expected] | None = None
    """Of ``decode_batch``: one for each input."""


class Vector(_Model):
    """One call and what must come of it."""

    name: str
    source: str
    """Where the bytes come from: a page of a specification, a device, a real encoder."""
    function: Literal["decode", "decode_batch", "encode", "on_msg", "on_action"] = "decode"
    context: Told = Told()
    input: Input
    expect: Expected = Expected()


_VECTORS: Final = TypeAdapter(list[Vector])


def read_vectors(file: Path) -> list[Vector]:
    """The vectors in a file.

    Raises:
        NotFound: there is no such file.
        Invalid: ``plugin.vectors``, with every problem.
    """
    return _read(file)[1]


def read_all(files: Iterable[Path]) -> tuple[list[Any], list[Vector]]:
    """The vectors of several files, as they are written and as they are meant.

    Raises:
        As ``read_vectors``; and ``plugin.vectors`` where two have the same name.
    """
    written: list[Any] = []
    meant: list[Vector] = []
    names: dict[str, Path] = {}
    for file in files:
        content, vectors = _read(file)
        written += content
        meant += vectors
        for vector in vectors:
            if vector.name in names:
                first = names[vector.name]
                raise Invalid(
                    "plugin.vectors",
                    f'two vectors are called "{vector.name}"',
                    source=str(file),
                    hint=f"the other is in {first}",
                )
            names[vector.name] = file
    return written, meant


def _read(file: Path) -> tuple[list[Any], list[Vector]]:
    try:
        with file.open("rb") as stream:
            text = stream.read(_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise NotFound("plugin.vectors", "there is no such file", source=str(file)) from None
    if len(text) > _FILE_BYTES_MAX:
        raise Invalid("plugin.vectors", f"more than {_FILE_BYTES_MAX} bytes", source=str(file))
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        raise Invalid(
            "plugin.vectors", f"is no JSON: {error}", source=str(file), line=line
        ) from None
    try:
        return content, _VECTORS.validate_python(content)
    except ValidationError as error:
        raise Invalid(
            "plugin.vectors",
            f"{file} is not valid",
            problems=[
                Problem(
                    "plugin.vectors",
                    _wording(detail["msg"]),
                    pointer="".join(f"/{part}" for part in detail["loc"]),
                    source=str(file),
                )
                for detail in error.errors(include_url=False)
            ],
        ) from None


def _wording(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]
