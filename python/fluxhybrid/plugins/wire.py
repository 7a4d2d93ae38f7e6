"""Inputs of calls as bytes: what the host hands to a guest.

Owns writing a message and a batch (ABI v1) where a tool has to make one. Must never read a guest's
output: the host does.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from fluxhybrid.errors import Invalid

__all__ = ["batch", "command", "inputs_of", "message"]

_NO_TIME: Final = -(2**63)
_NAME_BYTES_MAX: Final = 255


def command(content: Mapping[str, Any]) -> bytes:
    """The input of ``encode``."""
    return orjson.dumps(content)


def batch(inputs: Iterable[bytes]) -> bytes:
    """The input of ``decode_batch``."""
    items = list(inputs)
    return b"".join([_u32(len(items)), *(part for item in items for part in _sized(item))])


def inputs_of(content: bytes) -> list[bytes]:
    """The inputs of a batch that ``batch`` made."""
    found, at = [], 4
    while at < len(content):
        (length,) = struct.unpack_from("<I", content, at)
        found.append(content[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def message(content: Mapping[str, Any]) -> bytes:
    """The input of ``on_msg`` and ``on_action``: device, ts, tags and values.

    Raises:
        Invalid: ``plugin.vectors``, something in it is too long, or of no type there is.
    """
    tags, values = content.get("tags", {}), content.get("values", {})
    parts = [_name(content.get("device", "")), struct.pack("<q", content.get("ts", _NO_TIME))]
    parts.append(struct.pack("<H", len(tags)))
    for name, text in tags.items():
        encoded = text.encode()
        parts += [_name(name), struct.pack("<H", len(encoded)), encoded]
    parts.append(struct.pack("<H", len(values)))
    for name, value in values.items():
        parts += [_name(name), *_value(value)]
    return b"".join(parts)


def _value(value: Any) -> Iterable[bytes]:
    match value:
        case bool():
            return (b"\x01" if value else b"\x00",)
        case int():
            return (b"\x02", struct.pack("<q", value))
        case float():
            return (b"\x03", struct.pack("<d", value))
        case str():
            return (b"\x04", *_sized(value.encode()))
        case bytes():
            return (b"\x05", *_sized(value))
        case {"$bytes": str(digits)}:
            return (b"\x05", *_sized(bytes.fromhex(digits)))
        case {"$time": int(time_ns)}:
            return (b"\x07", struct.pack("<q", time_ns))
        case dict() | list():
            return (b"\x06", *_sized(orjson.dumps(value)))
    raise Invalid("plugin.vectors", f"no value is of the type {type(value).__name__}")


def _name(name: str) -> bytes:
    encoded = name.encode()
    if len(encoded) > _NAME_BYTES_MAX:
        raise Invalid("plugin.vectors", f"a name has at most {_NAME_BYTES_MAX} bytes: {name:.40}…")
    return bytes([len(encoded)]) + encoded


def _sized(content: bytes) -> tuple[bytes, bytes]:
    return _u32(len(content)), content


def _u32(number: int) -> bytes:
    return struct.pack("<I", number)
