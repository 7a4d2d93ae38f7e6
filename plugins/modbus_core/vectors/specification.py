"""The examples printed in the specifications.

*MODBUS Application Protocol Specification V1.1b3* prints PDUs; the frames around them are made by
pymodbus's framers. *MODBUS over Serial Line V1.02* prints one check.
"""

from __future__ import annotations

from typing import Any, Final

from book import PYMODBUS, Book

V1_1B3: Final = "MODBUS Application Protocol Specification V1.1b3"

IDENTIFIED: Final = (
    bytes.fromhex("2b0e0101000003 0016")
    + b"Company identification"
    + bytes.fromhex("010f")
    + b"Product code XX"
    + bytes.fromhex("0205")
    + b"V2.11"
)


def _bits(first: int, states: str) -> list[dict[str, Any]]:
    return [{"name": f"b{first + at}", "address": first + at} for at in range(len(states))]


def _states(first: int, states: str) -> dict[str, bool]:
    return {f"b{first + at}": state == "1" for at, state in enumerate(states)}


def fill(book: Book) -> None:
    """Add every example."""
    _reads(book)
    _writes(book)
    _files(book)
    _reports(book)
    _serial(book)


def _example(
    book: Book,
    clause: str,
    name: str,
    request: str,
    reply: str,
    *,
    settings: dict[str, Any] | None = None,
    **expected: Any,
) -> None:
    source = f"{V1_1B3}, {clause}, its example; framed by {PYMODBUS}"
    book.decode(
        f"{clause} {name}",
        source,
        book.frame(bytes.fromhex(reply)),
        request=book.frame(bytes.fromhex(request)),
        settings=settings,
        **expected,
    )


def _reads(book: Book) -> None:
    # Coils 20 to 38 begin at the place 19; outputs 27 to 20 are CD, the lowest bit is 20.
    states = "1011001111010110101"
    coils = [{**bit, "table": "coil"} for bit in _bits(20, states)]
    _example(
        book,
        "6.1",
        "coils 20 to 38",
        "01 0013 0013",
        "01 03 cd6b05",
        settings={"address_base": 1, "registers": coils},
        values=_states(20, states),
    )
    # Discrete inputs 197 to 218: AC DB 35.
    states = "0011010111011011101011"
    inputs = [{**bit, "table": "discrete"} for bit in _bits(197, states)]
    _example(
        book,
        "6.2",
        "discrete inputs 197 to 218",
        "02 00c4 0016",
        "02 03 acdb35",
        settings={"address_base": 1, "registers": inputs},
        values=_states(197, states),
    )
    registers = [{"name": f"r{n}", "address": n} for n in (108, 109, 110)]
    _example(
        book,
        "6.3",
        "holding registers 108 to 110",
        "03 006b 0003",
        "03 06 022b 0000 0064",
        settings={"address_base": 1, "registers": registers},
        values={"r108": 555, "r109": 0, "r110": 100},
    )
    _example(
        book,
        "6.4",
        "input register 9",
        "04 0008 0001",
        "04 02 000a",
        settings={"address_base": "modicon", "registers": [{"name": "r", "address": 30009}]},
        values={"r": 10},
    )
    _example(
        book,
        "7",
        "a coil that is not there",
        "01 04a1 0001",
        "81 02",
        error="exception",
    )


def _writes(book: Book) -> None:
    coil = {"name": "coil", "table": "coil", "address": 173}
    _example(
        book,
        "6.5",
        "coil 173 on",
        "05 00ac ff00",
        "05 00ac ff00",
        settings={"address_base": 1, "registers": [coil]},
        values={"coil": True},
    )
    _example(
        book,
        "6.6",
        "register 2 to 3",
        "06 0001 0003",
        "06 0001 0003",
        settings={"address_base": 1, "registers": [{"name": "r", "address": 2}]},
        values={"r": 3},
    )
    states = "1011001110"
    coils = [{**bit, "table": "coil"} for bit in _bits(20, states)]
    _example(
        book,
        "6.11",
        "ten coils from 20 on",
        "0f 0013 000a 02 cd01",
        "0f 0013 000a",
        settings={"address_base": 1, "registers": coils},
        values=_states(20, states),
    )
    registers = [{"name": f"r{n}", "address": n} for n in (2, 3)]
    _example(
        book,
        "6.12",
        "registers 2 and 3 to 000A and 0102",
        "10 0001 0002 04 000a 0102",
        "10 0001 0002",
        settings={"address_base": 1, "registers": registers},
        values={"r2": 10, "r3": 258},
    )
    bits = [
        {"name": "low", "address": 5, "type": "bits", "length": 4},
        {"name": "kept", "address": 5, "type": "bits", "bit": 4, "length": 4},
        {"name": "top", "address": 5, "type": "bool", "bit": 15},
    ]
    # AND F2, OR 25: bits 0, 2, 3 and 8 to 15 are written; bit 1 and 4 to 7 are kept.
    _example(
        book,
        "6.16",
        "a mask on register 5",
        "16 0004 00f2 0025",
        "16 0004 00f2 0025",
        settings={"address_base": 1, "registers": bits},
        values={"top": False},
    )
    registers = [{"name": f"r{n}", "address": n} for n in range(4, 10)]
    _example(
        book,
        "6.17",
        "six registers read, three written",
        "17 0003 0006 000e 0003 06 00ff 00ff 00ff",
        "17 0c 00fe 0acd 0001 0003 000d 00ff",
        settings={"address_base": 1, "registers": registers},
        values={"r4": 254, "r5": 2765, "r6": 1, "r7": 3, "r8": 13, "r9": 255},
    )


def _files(book: Book) -> None:
    _example(
        book,
        "6.14",
        "two groups of records",
        "14 0e 06 0004 0001 0002 06 0003 0009 0002",
        "14 0c 05 06 0dfe 0020 05 06 33cd 0040",
        values={"file_4_1": [3582, 32], "file_3_9": [13261, 64]},
    )
    record = "15 0d 06 0004 0007 0003 06af 04be 100d"
    _example(book, "6.15", "three registers of a file", record, record)
    _example(
        book,
        "6.18",
        "a queue of two",
        "18 04de",
        "18 0006 0002 01b8 1284",
        values={"fifo_1246": [440, 4740]},
    )


def _reports(book: Book) -> None:
    _example(book, "6.7", "exception status", "07", "07 6d", values={"exception_status": 0x6D})
    echo = "08 0000 a537"
    _example(book, "6.8", "query data sent back", echo, echo)
    _example(
        book,
        "6.9",
        "event counter of a busy unit",
        "0b",
        "0b ffff 0108",
        values={"busy": True, "event_count": 264},
    )
    _example(
        book,
        "6.10",
        "event log",
        "0c",
        "0c 08 0000 0108 0121 20 00",
        values={
            "busy": False,
            "event_count": 264,
            "message_count": 289,
            "events": {"$bytes": "2000"},
        },
    )
    identified = {
        "conformity_level": 1,
        "vendor_name": "Company identification",
        "product_code": "Product code XX",
        "revision": "V2.11",
    }
    # The example prints 0D for the length of "Product code XX", which has 0F bytes.
    _example(
        book, "6.21", "basic identification", "2b 0e 01 00", IDENTIFIED.hex(), values=identified
    )


def _serial(book: Book) -> None:
    if not book.is_rtu:
        return
    source = "MODBUS over Serial Line V1.02, appendix B: 02 07 is followed by 41 12"
    # The example is a request; what it shows is that its check is right.
    book.decode(
        "the printed check is right",
        source,
        bytes.fromhex("02074112"),
        error="unasked",
        settings={"unit": 2},
    )
    book.decode(
        "the printed check is wrong with its bytes the other way round",
        source,
        bytes.fromhex("02071241"),
        error="crc",
        settings={"unit": 2},
    )
