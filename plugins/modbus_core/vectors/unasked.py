"""Frames nobody asked for: of devices that send of their own accord."""

from __future__ import annotations

from typing import Any, Final

from book import Book
from meter import CHANGED, ENCODED
from pymodbus.pdu import ExceptionResponse
from pymodbus.pdu import bit_message as bits
from pymodbus.pdu import register_message as reg

PUSHING: Final[dict[str, Any]] = {
    "devices": {"1": "meter-1", "2": "meter-2"},
    "registers": [
        {"name": "voltage", "address": 0, "scale": 0.1},
        {"name": "current", "address": 1, "scale": 0.01},
        {"name": "total", "address": 40, "type": "u32"},
        {"name": "door", "table": "discrete", "address": 16},
        {"name": "pump", "table": "coil", "address": 3},
    ],
    "unsolicited": [
        {"function": 3, "address": 0, "count": 2},
        {"function": 3, "unit": 2, "address": 40},
        {"function": 2, "address": 16, "count": 3},
        {"function": 5},
        {"function": 6},
        {"function": 15},
        {"function": 16, "unit": 1},
    ],
}


def fill(book: Book) -> None:
    """Add all of them."""
    pair = reg.ReadHoldingRegistersResponse(registers=[2304, 150])
    total = reg.ReadHoldingRegistersResponse(registers=[0, 77, 1])
    values = {"voltage": 230.4, "current": 1.5}

    def pushed(name: str, pdu: Any, unit: int = 1, **expected: Any) -> None:
        expected.setdefault("device", f"meter-{unit}")
        book.decode(name, ENCODED, book.frame(pdu, unit), settings=PUSHING, **expected)

    pushed("a reply to a read of the device's own", pair, values=values)
    pushed("the same of another unit", pair, unit=2, values=values)
    pushed("a longer one, by its unit", total, unit=2, values={"total": 77})
    pushed("a longer one, of a unit that sends none", total, error="unasked")
    pushed(
        "input registers, which no entry names",
        reg.ReadInputRegistersResponse(registers=[1]),
        error="unasked",
    )
    pushed(
        "discrete inputs",
        bits.ReadDiscreteInputsResponse(bits=[True, False, False]),
        values={"door": True},
    )
    pushed(
        "more inputs than an entry says",
        bits.ReadDiscreteInputsResponse(bits=[True] * 9),
        error="unasked",
    )
    pushed(
        "a coil the device writes",
        bits.WriteSingleCoilRequest(address=3, bits=[True]),
        values={"pump": True},
    )
    pushed(
        "a register the device writes",
        reg.WriteSingleRegisterRequest(address=0, registers=[2310]),
        values={"voltage": 231.0},
    )
    pushed(
        "coils the device writes",
        bits.WriteMultipleCoilsRequest(address=2, bits=[False, True]),
        unit=2,
        values={"pump": True},
    )
    written = reg.WriteMultipleRegistersRequest(address=0, registers=[2304, 150])
    pushed("registers the device writes", written, values=values)
    pushed("registers a device writes that should not", written, unit=2, error="unasked")
    pushed(
        "an answer to a write that nobody asked for",
        reg.WriteMultipleRegistersResponse(address=0, count=2),
        error="unasked",
    )
    pushed("an exception nobody asked for", ExceptionResponse(3, 4), error="exception")
    pushed("a function without an entry", b"\x07\x6d", error="unasked")
    pushed("an unknown unit", pair, unit=9, error="unit")
    book.decode(
        "without settings nothing is made of it", ENCODED, book.frame(pair), error="unasked"
    )
    several = book.frame(pair) + book.frame(total, 2) + book.frame(written)
    messages = [
        {"device": "meter-1", "values": values},
        {"device": "meter-2", "values": {"total": 77}},
        {"device": "meter-1", "values": values},
    ]
    book.decode(
        "several that arrived together", ENCODED, several, settings=PUSHING, messages=messages
    )
    book.decode(
        "the last of several is cut",
        CHANGED,
        several[:-1],
        settings=PUSHING,
        messages=messages[:2],
        error="crc" if book.is_rtu else "length",
    )
    book.decode(
        "one of several that nobody knows",
        ENCODED,
        book.frame(pair) + book.frame(b"\x07\x6d") + book.frame(total, 2),
        settings=PUSHING,
        messages=messages[:2],
        error="unasked",
    )
