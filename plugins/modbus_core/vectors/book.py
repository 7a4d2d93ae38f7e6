"""Vectors of one transport as they are collected.

Owns the framing, by pymodbus, and the layout of a vector. Must never know what is tried.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

from pymodbus import __version__
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU

PYMODBUS: Final = f"pymodbus {__version__}"
TRANSACTION: Final = 7

JsonObject = dict[str, Any]


class Transport(Enum):
    """What carries the frames, by the end of the plugin's name."""

    RTU = "rtu"
    TCP = "tcp"


class Book:
    """Collects vectors."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.vectors: list[JsonObject] = []
        framer = FramerRTU if transport is Transport.RTU else FramerSocket
        self._framer = framer(DecodePDU(is_server=False))

    @property
    def is_rtu(self) -> bool:
        """Whether frames are those of a serial line."""
        return self.transport is Transport.RTU

    def frame(self, pdu: ModbusPDU | bytes, unit: int = 1, transaction: int = TRANSACTION) -> bytes:
        """A PDU in a frame, by pymodbus's framer."""
        if isinstance(pdu, ModbusPDU):
            pdu = bytes([pdu.function_code]) + pdu.encode()
        return self._framer.encode(pdu, unit, transaction)

    def decode(
        self,
        name: str,
        source: str,
        frame: bytes,
        *,
        request: bytes | None = None,
        settings: JsonObject | None = None,
        values: JsonObject | None = None,
        messages: list[JsonObject] | None = None,
        error: str | None = None,
        device: str | None = None,
    ) -> None:
        """A frame and what it is decoded into: ``values`` of one message, or whole ``messages``."""
        expect: JsonObject = {}
        if values is not None:
            messages = [{"values": values} | ({"device": device} if device else {})]
        if messages:
            expect["messages"] = messages
        if error:
            expect["error"] = error
        context: JsonObject = {}
        if settings:
            context["settings"] = settings
        if request is not None:
            context["request"] = request.hex()
        self._add(name, source, "decode", context, {"hex": frame.hex()}, expect)

    def batch(
        self,
        name: str,
        source: str,
        frames: list[bytes],
        items: list[JsonObject],
        *,
        request: bytes,
        settings: JsonObject,
    ) -> None:
        """Several frames in one call."""
        context = {"settings": settings, "request": request.hex()}
        content = {"batch": [{"hex": frame.hex()} for frame in frames]}
        self._add(name, source, "decode_batch", context, content, {"items": items})

    def encode(
        self,
        name: str,
        source: str,
        command: str,
        params: JsonObject,
        pdus: list[ModbusPDU | bytes] | None = None,
        *,
        settings: JsonObject | None = None,
        error: str | None = None,
        unit: int = 1,
        device: str | None = None,
    ) -> None:
        """A command and the frames it becomes."""
        if not self.is_rtu:
            params = params | {"transaction": TRANSACTION}
        context: JsonObject = {}
        if settings:
            context["settings"] = settings
        if device:
            context["device"] = device
        expect: JsonObject = {}
        if pdus:
            numbered = enumerate(pdus, start=TRANSACTION)
            expect["frames"] = [self.frame(pdu, unit, number).hex() for number, pdu in numbered]
        if error:
            expect["error"] = error
        content = {"json": {"command": command, "params": params}}
        self._add(name, source, "encode", context, content, expect)

    def _add(
        self,
        name: str,
        source: str,
        function: str,
        context: JsonObject,
        content: JsonObject,
        expect: JsonObject,
    ) -> None:
        vector: JsonObject = {"name": name, "source": source}
        if function != "decode":
            vector["function"] = function
        if context:
            vector["context"] = context
        self.vectors.append(vector | {"input": content, "expect": expect})
