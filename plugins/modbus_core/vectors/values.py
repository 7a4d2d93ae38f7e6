"""What registers and bits mean: types, orders, scales, tables, units, settings."""

from __future__ import annotations

from typing import Any

from book import Book
from meter import ENCODED, METER, METERED, TYPE, exchange, registers
from pymodbus.pdu import bit_message as bits
from pymodbus.pdu import register_message as reg


def fill(book: Book) -> None:
    """Add all of them."""
    _types(book)
    _flags(book)
    _meanings(book)
    _tables(book)
    _units(book)
    _settings(book)


def _read(
    book: Book, name: str, words: list[int], settings: dict[str, Any], **expected: Any
) -> None:
    book.decode(
        name,
        ENCODED,
        book.frame(reg.ReadHoldingRegistersResponse(registers=words)),
        request=book.frame(reg.ReadHoldingRegistersRequest(address=100, count=len(words))),
        settings=settings,
        **expected,
    )


def _types(book: Book) -> None:
    whole: list[tuple[str, Any, int]] = [
        ("u16", TYPE.UINT16, 65534),
        ("i16", TYPE.INT16, -12345),
        ("u32", TYPE.UINT32, 4000000000),
        ("i32", TYPE.INT32, -1234567890),
        ("u64", TYPE.UINT64, 1234567890123456789),
        ("i64", TYPE.INT64, -1234567890123456789),
    ]
    fractions = [("f32", TYPE.FLOAT32, 230.5), ("f64", TYPE.FLOAT64, -0.000123456789)]
    for word, kind, value in [*whole, *fractions]:
        for order in ("big", "little"):
            words = registers(kind, value, order)
            entry: dict[str, Any] = {"name": "v", "address": 100, "type": word}
            if len(words) > 1:
                entry["words"] = order
            elif order == "little":
                continue
            name = f"{word} with the {'high' if order == 'big' else 'low'} word first"
            _read(book, name, words, {"registers": [entry]}, values={"v": value})
            # The same with the bytes of each register the other way round.
            swapped = [int.from_bytes(w.to_bytes(2, "little"), "big") for w in words]
            entry = entry | {"bytes": "little"}
            _read(
                book,
                f"{name}, bytes swapped",
                swapped,
                {"registers": [entry]},
                values={"v": value},
            )


def _flags(book: Book) -> None:
    text = "Zähler 7"
    words = [*registers(TYPE.STRING, text), 0, 0]
    entry: dict[str, Any] = {
        "name": "v",
        "address": 100,
        "type": "string",
        "length": 2 * len(words),
    }
    _read(
        book,
        "text in UTF-8, filled up with zeros",
        words,
        {"registers": [entry]},
        values={"v": text},
    )
    flags = [True, False, False, True] + [False] * 11 + [True]
    words = registers(TYPE.BITS, list(flags))
    entries = [{"name": f"bit{n}", "address": 100, "type": "bool", "bit": n} for n in range(16)]
    # pymodbus packs bits byte by byte, the first in the lowest bit of the first byte.
    low_first = [flags[8 + n] for n in range(8)] + flags[:8]
    _read(
        book,
        "sixteen flags in a register",
        words,
        {"registers": entries},
        values={f"bit{n}": flag for n, flag in enumerate(low_first)},
    )


def _meanings(book: Book) -> None:
    def one(**entry: Any) -> dict[str, Any]:
        return {"registers": [{"name": "v", "address": 100, **entry}]}

    _read(book, "a scale of a tenth is exact", [3], one(scale=0.1), values={"v": 0.3})
    _read(book, "scale and offset", [600], one(scale=0.1, offset=-40), values={"v": 20.0})
    _read(
        book, "a word for a number", [2], one(enum={"0": "off", "2": "auto"}), values={"v": "auto"}
    )
    _read(book, "a number without a word", [1], one(enum={"0": "off"}), values={"v": 1})
    _read(book, "a register that says it has no value", [65535], one(null=65535))
    _read(
        book,
        "no value of a signed type",
        [0x8000, 5],
        {
            "registers": [
                {"name": "v", "address": 100, "type": "i16", "null": -32768},
                {"name": "w", "address": 101},
            ]
        },
        values={"w": 5},
    )
    _read(book, "decimal digits", [0x1234, 0x5678], one(type="bcd32"), values={"v": 12345678})
    _read(
        book,
        "a digit above nine spoils its own value alone",
        [0x12AB, 7],
        {
            "registers": [
                {"name": "v", "address": 100, "type": "bcd16"},
                {"name": "w", "address": 101},
            ]
        },
        values={"w": 7},
        error="value",
    )
    seconds = registers(TYPE.UINT32, 1700000000)
    _read(
        book,
        "seconds since 1970",
        seconds,
        one(type="epoch32"),
        values={"v": {"$time": 1700000000 * 10**9}},
    )
    _read(
        book,
        "some bits as a number",
        [0x0ABC],
        one(type="bits", bit=4, length=6),
        values={"v": 0x2B},
    )
    _read(
        book,
        "u64 beyond whole numbers becomes one with a fraction",
        [0xFFFF] * 4,
        one(type="u64"),
        values={"v": 18446744073709551615.0},
    )
    _read(
        book,
        "a value that begins before what was read is left out",
        [1, 2],
        {"registers": [{"name": "v", "address": 99, "type": "u32"}, {"name": "w", "address": 101}]},
        values={"w": 2},
    )
    _read(
        book,
        "registers without a meaning",
        [7, 65535],
        {},
        values={"holding_100": 7, "holding_101": 65535},
    )
    _read(
        book,
        "registers beside those that have a meaning",
        [7, 8, 9],
        {
            "unmapped": "raw",
            "address_base": "modicon",
            "registers": [{"name": "v", "address": 40102}],
        },
        messages=[{"values": {"v": 8}}, {"values": {"holding_40101": 7, "holding_40103": 9}}],
    )


def _tables(book: Book) -> None:
    request, reply = exchange()
    book.decode(
        "four holding registers",
        ENCODED,
        book.frame(reply),
        request=book.frame(request),
        settings=METER,
        values=METERED,
    )
    settings = {"registers": [{**entry, "table": "input"} for entry in METER["registers"]]}
    book.decode(
        "four input registers",
        ENCODED,
        book.frame(reg.ReadInputRegistersResponse(registers=reply.registers)),
        request=book.frame(reg.ReadInputRegistersRequest(address=0, count=4)),
        settings=settings,
        values=METERED,
    )
    words = list(range(1000, 1125))
    book.decode(
        "as many registers as a frame holds",
        ENCODED,
        book.frame(reg.ReadHoldingRegistersResponse(registers=words)),
        request=book.frame(reg.ReadHoldingRegistersRequest(address=0, count=125)),
        settings={"registers": [{"name": f"r{n}", "address": n} for n in range(125)]},
        values={f"r{n}": word for n, word in enumerate(words)},
    )
    states = [n % 3 == 0 for n in range(2000)]
    book.decode(
        "as many coils as a frame holds, in two messages",
        ENCODED,
        book.frame(bits.ReadCoilsResponse(bits=states)),
        request=book.frame(bits.ReadCoilsRequest(address=0, count=2000)),
        messages=[
            {"values": {f"coil_{n}": states[n] for n in range(1000)}},
            {"values": {f"coil_{n}": states[n] for n in range(1000, 2000)}},
        ],
    )
    book.decode(
        "coils as one number",
        ENCODED,
        book.frame(bits.ReadDiscreteInputsResponse(bits=[True, False, True, True, False])),
        request=book.frame(bits.ReadDiscreteInputsRequest(address=40, count=5)),
        settings={
            "registers": [
                {"name": "v", "table": "discrete", "address": 41, "type": "bits", "length": 3}
            ]
        },
        values={"v": 0b110},
    )


def _units(book: Book) -> None:
    request, reply = exchange()
    devices = METER | {"devices": {"3": "meter-3", "4": "meter-4"}}
    for unit in (3, 4):
        book.decode(
            f"unit {unit} has a device of its own",
            ENCODED,
            book.frame(reply, unit=unit),
            request=book.frame(request, unit=unit),
            settings=devices,
            values=METERED,
            device=f"meter-{unit}",
        )
    book.decode(
        "a unit the settings do not know",
        ENCODED,
        book.frame(reply, unit=5),
        request=book.frame(request, unit=5),
        settings=devices,
        error="unit",
    )
    own = {
        "devices": {"3": "meter-3", "4": "meter-4"},
        "registers": [
            {"name": "voltage", "address": 0, "scale": 0.1, "units": [3]},
            {"name": "frequency", "address": 0, "scale": 0.01, "units": [4]},
        ],
    }
    for unit, values in ((3, {"voltage": 230.4}), (4, {"frequency": 23.04})):
        book.decode(
            f"registers of unit {unit} alone",
            ENCODED,
            book.frame(reg.ReadHoldingRegistersResponse(registers=[2304]), unit=unit),
            request=book.frame(reg.ReadHoldingRegistersRequest(address=0, count=1), unit=unit),
            settings=own,
            values=values,
            device=f"meter-{unit}",
        )


def _settings(book: Book) -> None:
    request, reply = exchange()
    for name, settings in (
        ("an address beyond the table", {"registers": [{"name": "v", "address": 65536}]}),
        (
            "a name that stands twice",
            {"registers": [{"name": "v", "address": 0}, {"name": "v", "address": 1}]},
        ),
        ("a type that is none", {"registers": [{"name": "v", "address": 0, "type": "u8"}]}),
        ("a setting that is none", {"register": []}),
    ):
        book.decode(
            f"settings with {name} are refused",
            ENCODED,
            book.frame(reply),
            request=book.frame(request),
            settings=settings,
            error="settings.invalid",
        )
