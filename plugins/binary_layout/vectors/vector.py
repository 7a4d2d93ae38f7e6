"""How vectors are written down."""

from __future__ import annotations

from typing import Any

STRUCT, CONSTRUCT = "Python struct", "construct 2.10.70"


def decode(
    name: str,
    source: str,
    frame: bytes | str,
    settings: dict[str, Any],
    *messages: dict[str, Any],
    **more: Any,
) -> dict[str, Any]:
    frame = frame if isinstance(frame, str) else frame.hex()
    expect: dict[str, Any] = {"messages": list(messages)} if messages else {}
    return {
        "name": name,
        "source": source,
        "context": {"settings": settings},
        "input": {"hex": frame},
        "expect": expect | more,
    }


def values(**values: Any) -> dict[str, Any]:
    return {"values": values}


def encode(
    name: str,
    source: str,
    settings: dict[str, Any],
    command: str,
    params: dict[str, Any],
    frame: bytes | str,
    **context: Any,
) -> dict[str, Any]:
    frame = frame if isinstance(frame, str) else frame.hex()
    return {
        "name": name,
        "source": source,
        "function": "encode",
        "context": {"settings": settings} | context,
        "input": {"json": {"command": command, "params": params}},
        "expect": {"frames": [frame]},
    }
