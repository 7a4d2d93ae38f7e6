"""A plugin host in Python, for tests of what drives one.

Plays the template's plugin (frames of six bytes), and on request every fault a plugin may have.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from fluxhybrid.errors import Invalid
from fluxhybrid.plugins import wire

Answer = dict[str, Any]


def error(code: str, text: str = "") -> Answer:
    return {"error": {"code": code, "text": text}}


class HostDouble:
    """Decodes the template's frames; ``name`` is the plugin's, as in its error codes."""

    def __init__(self, name: str = "room", takes_batches: bool = True) -> None:
        self.name = name
        self.takes_batches = takes_batches
        self.calls: list[tuple[str, bytes, dict[str, Any]]] = []
        self.loaded: list[tuple[Any, str | None]] = []

    def load(self, source: str | os.PathLike[str] | bytes, plugin_id: str | None = None) -> str:
        self.loaded.append((source, plugin_id))
        return plugin_id or "plugin"

    def call_plugin(
        self,
        plugin_id: str,
        function: str,
        input: bytes,  # noqa: A002
        context: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any] | bytes:
        self.calls.append((function, input, dict(context or {})))
        if function == "decode":
            return self.decode(input, context or {})
        if function == "decode_batch" and self.takes_batches:
            items = [self.decode(one, context or {}) for one in wire.inputs_of(input)]
            return {"items": items}
        raise Invalid("plugin.not_exported", f"the plugin does not export {function}")

    def get_pool_stats(self, plugin_id: str) -> Mapping[str, int]:
        return {"available": 1, "max_size": 4, "hits": len(self.calls), "misses": 1}

    def decode(self, frame: bytes, context: Mapping[str, Any]) -> Answer:
        if len(frame) != 6:
            return error(f"{self.name}.length", f"a frame has 6 bytes, not {len(frame)}")
        if sum(frame[:5]) & 0xFF != frame[5]:
            return error(f"{self.name}.sum")
        if frame[0] != 1:
            return error(f"{self.name}.kind")
        offset = (context.get("settings") or {}).get("offset", 0.0)
        values = {
            "temperature": int.from_bytes(frame[1:3], "big", signed=True) / 10 + offset,
            "humidity": frame[3] / 2,
            "battery_low": bool(frame[4] & 1),
        }
        return {"messages": [{"values": values}], "frames": [], "effects": [], "state": None}
