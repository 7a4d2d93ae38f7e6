"""Numbers and bits, fields that are there or not, or often."""

from __future__ import annotations

import ctypes
import struct
from typing import Any

from construct import BitsInteger, BitStruct, Flag
from vector import CONSTRUCT, STRUCT, decode, values


def numbers() -> list[Any]:
    whole = {
        "u8": ("B", 200),
        "u16": ("H", 60_000),
        "u32": ("I", 4_000_000_000),
        "i8": ("b", -100),
        "i16": ("h", -30_000),
        "i32": ("i", -2_000_000_000),
        "i64": ("q", -(2**62)),
    }
    floats = {"f16": ("e", -1.5), "f32": ("f", 21.25), "f64": ("d", 1e-300)}
    vectors = []
    for endian, mark in (("big", ">"), ("little", "<")):
        kinds = whole | floats
        frame = struct.pack(
            mark + "".join(code for code, _ in kinds.values()),
            *(value for _, value in kinds.values()),
        )
        fields = [{"name": kind, "type": kind} for kind in kinds]
        expected = {kind: value for kind, (_, value) in kinds.items()}
        vectors.append(
            decode(
                f"every width behind one another, {endian}",
                STRUCT,
                frame,
                {"endian": endian, "length": len(frame), "fields": fields},
                values(**expected),
            )
        )
        odd = {"u24": 3, "u40": 5, "u48": 6, "u56": 7}
        frame = b"".join((2 ** (8 * size) - 2).to_bytes(size, endian) for size in odd.values())
        frame += b"".join((-2).to_bytes(size, endian, signed=True) for size in odd.values())
        fields = [
            {"name": kind, "type": kind}
            for kind in [*odd, *(kind.replace("u", "i") for kind in odd)]
        ]
        expected = {kind: 2 ** (8 * size) - 2 for kind, size in odd.items()} | {
            kind.replace("u", "i"): -2 for kind in odd
        }
        vectors.append(
            decode(
                f"odd widths, {endian}",
                "Python int.to_bytes",
                frame,
                {"endian": endian, "fields": fields},
                values(**expected),
            )
        )
    mixed = struct.pack(">Hh", 1234, -56) + struct.pack("<I", 987_654)
    vectors += [
        decode(
            "scale, offset and unit; one field of the other byte order",
            STRUCT,
            mixed,
            {
                "fields": [
                    {"name": "temperature", "type": "u16", "scale": 0.1, "add": -40, "unit": "°C"},
                    {"name": "flow", "type": "i16", "scale": 0.5},
                    {
                        "name": "energy",
                        "type": "u32",
                        "scale": 0.001,
                        "endian": "little",
                        "unit": "MWh",
                    },
                ]
            },
            values(temperature=83.4, flow=-28, energy=987.654),
        ),
        decode(
            "more than a signed number holds",
            STRUCT,
            struct.pack(">Q", 2**63),
            {"fields": [{"name": "n", "type": "u64"}]},
            values(n=float(2**63)),
        ),
        decode(
            "places from the beginning, from the end, and behind one another",
            STRUCT,
            struct.pack(">HBBBH", 0xAAAA, 1, 2, 3, 4),
            {
                "fields": [
                    {"name": "last", "type": "u16", "offset": -2},
                    {"name": "first", "type": "u8", "offset": 2},
                    {"name": "second", "type": "u8"},
                ]
            },
            values(last=4, first=1, second=2),
        ),
        decode(
            "what was not measured is left out",
            STRUCT,
            struct.pack(">hHHf", -32768, 0xFFFF, 7, float("nan")),
            {
                "fields": [
                    {"name": "a", "type": "i16", "null": "0x8000"},
                    {"name": "b", "type": "u16", "null": [0, "0xffff"]},
                    {"name": "c", "type": "u16", "null": 0},
                    {"name": "d", "type": "f32"},
                ]
            },
            values(c=7),
        ),
        decode(
            "words for numbers",
            STRUCT,
            struct.pack(">BbB", 2, -1, 9),
            {
                "fields": [
                    {"name": "mode", "type": "u8", "enum": {"1": "off", "2": "heat"}},
                    {"name": "state", "type": "i8", "enum": {"-1": "failed"}},
                    {"name": "other", "type": "u8", "enum": {"0x01": "one"}},
                ]
            },
            values(mode="heat", state="failed", other=9),
        ),
        decode(
            "mask and shift",
            CONSTRUCT,
            BitStruct("b" / BitsInteger(3), "a" / BitsInteger(11), "c" / BitsInteger(2)).build(
                {"a": 1025, "b": 5, "c": 3}
            ),
            {
                "fields": [
                    {"name": "a", "type": "u16", "offset": 0, "mask": "0x1ffc", "shift": 2},
                    {"name": "b", "type": "u16", "offset": 0, "shift": 13},
                    {"name": "c", "type": "u16", "offset": 0, "mask": 3},
                ]
            },
            values(a=1025, b=5, c=3),
        ),
        decode(
            "decimal digits",
            "BCD by hand: the digits of the hexadecimal text",
            "12 34 56 78 90 99 ff ff",
            {
                "fields": [
                    {"name": "volume", "type": "bcd", "length": 4, "scale": 0.001},
                    {"name": "swapped", "type": "bcd", "length": 2, "endian": "little"},
                    {"name": "none", "type": "bcd", "length": 2, "null": "0xffff"},
                ]
            },
            values(volume=12345.678, swapped=9990),
        ),
        decode(
            "what are no decimal digits is an error beside the others",
            "BCD by hand",
            "1a 34 07",
            {"fields": [{"name": "a", "type": "bcd", "length": 2}, {"name": "b", "type": "u8"}]},
            values(b=7),
            error="layout.value",
        ),
    ]
    return vectors


class LittleBits(ctypes.LittleEndianStructure):
    """Bit fields as compilers for little-endian machines lay them out: from the lowest bit on."""

    _pack_ = 1
    _fields_ = [
        ("a", ctypes.c_uint32, 3),
        ("b", ctypes.c_uint32, 11),
        ("c", ctypes.c_int32, 6),
        ("d", ctypes.c_uint32, 12),
    ]


def bits() -> list[Any]:
    across = BitStruct(
        "a" / BitsInteger(3),
        "b" / BitsInteger(11),
        "c" / BitsInteger(6, signed=True),
        "on" / Flag,
        "d" / BitsInteger(43),
    )
    put = {"a": 5, "b": 1234, "c": -17, "on": True, "d": 2**42 + 1}
    msb = across.build(put)
    little = bytes(LittleBits(a=5, b=1234, c=-17, d=4000))
    flags = BitStruct(*(name / Flag for name in "hgfedcba")).build(
        {"h": 0, "g": 1, "f": 0, "e": 0, "d": 0, "c": 1, "b": 0, "a": 1}
    )
    return [
        decode(
            "bits across bytes, the highest first",
            CONSTRUCT,
            msb,
            {
                "fields": [
                    {"name": "a", "type": "bits", "width": 3},
                    {"name": "b", "type": "bits", "width": 11},
                    {"name": "c", "type": "bits", "width": 6, "signed": True},
                    {"name": "on", "type": "bits", "width": 1},
                    {"name": "d", "type": "bits", "width": 43},
                ]
            },
            values(**(put | {"on": 1})),
        ),
        decode(
            "bits at places of their own",
            CONSTRUCT,
            msb,
            {
                "fields": [
                    {"name": "on", "type": "bool", "offset": 2, "bit": 4},
                    {
                        "name": "c",
                        "type": "bits",
                        "offset": 1,
                        "bit": 6,
                        "width": 6,
                        "signed": True,
                        "scale": 0.5,
                    },
                    {"name": "b", "type": "bits", "offset": 0, "bit": 3, "width": 11},
                ]
            },
            values(on=True, c=-8.5, b=1234),
        ),
        decode(
            "bits across bytes, the lowest first",
            "Python ctypes, bit fields of a little-endian structure",
            little,
            {
                "bit_order": "lsb",
                "fields": [
                    {"name": "a", "type": "bits", "width": 3},
                    {"name": "b", "type": "bits", "width": 11},
                    {"name": "c", "type": "bits", "width": 6, "signed": True},
                    {"name": "d", "type": "bits", "width": 12},
                ],
            },
            values(a=5, b=1234, c=-17, d=4000),
        ),
        decode(
            "flags of a byte, counted from the lowest bit, and a byte behind them",
            CONSTRUCT,
            flags + b"\x07",
            {
                "bit_order": "lsb",
                "fields": [
                    {"name": name, "type": "bool", "offset": 0, "bit": bit}
                    for bit, name in enumerate("abcdefgh")
                ]
                + [{"name": "next", "type": "u8"}],
            },
            values(a=True, b=False, c=True, d=False, e=False, f=False, g=True, h=False, next=7),
        ),
        decode(
            "a byte that is not zero",
            STRUCT,
            struct.pack("BB", 2, 0),
            {"fields": [{"name": "on", "type": "bool"}, {"name": "off", "type": "bool"}]},
            values(on=True, off=False),
        ),
    ]


def shapes() -> list[Any]:
    optional = [
        {"name": "flags", "type": "u8"},
        {
            "name": "temperature",
            "type": "i16",
            "scale": 0.1,
            "when": {"field": "flags", "mask": 1, "equals": 1},
        },
        {"name": "humidity", "type": "u8", "when": {"field": "flags", "mask": 2, "equals": 2}},
        {"name": "battery", "type": "u8", "when": {"offset": -1, "equals": [90, 91, 92]}},
    ]
    channels = [
        {"name": "n", "type": "u8", "hidden": True},
        {
            "name": "channel_{i}",
            "type": "u16",
            "scale": 0.01,
            "repeat": {"count": {"field": "n"}, "from": 0},
        },
        {"name": "tail", "type": "u8"},
    ]
    spread = [
        {"name": "a{i}", "type": "u8", "offset": 0, "repeat": {"count": 3, "stride": 2}},
        {"name": "b{i}", "type": "u8", "offset": 1, "repeat": {"count": 3, "stride": 2}},
    ]
    samples = [
        {"name": "id", "type": "u8"},
        {
            "type": "group",
            "repeat": {"count": "end"},
            "ts": {"offset": 0},
            "fields": [
                {"name": "level", "type": "u16", "offset": 4},
                {"name": "ok", "type": "bool"},
            ],
        },
    ]
    logged = b"\x07" + b"".join(
        struct.pack(">IH?", 1_700_000_000 + 60 * n, 100 + n, n % 2) for n in range(3)
    )
    body = b"\x02" + struct.pack(">HH", 1111, 2222)
    variants = {
        "fields": [{"name": "kind", "type": "u8", "hidden": True}],
        "checksum": {"type": "sum8"},
        "variants": [
            {"head": {"bytes": "01"}, "length": 4, "fields": [{"name": "level", "type": "u16"}]},
            {
                "head": {"bytes": "80", "mask": "80"},
                "endian": "little",
                "fields": [{"name": "flow", "type": "u16"}],
            },
            {
                "head": {"bytes": "02"},
                "checksum": {"type": "none"},
                "fields": [{"name": "text", "type": "string", "length": "end"}],
            },
        ],
    }
    level, flow = struct.pack(">BH", 1, 321), struct.pack("<BH", 0x85, 654)
    return [
        decode(
            "a field that a bit announces",
            STRUCT,
            struct.pack(">BhB", 1, 215, 90),
            {"fields": optional},
            values(flags=1, temperature=21.5, battery=90),
        ),
        decode(
            "the others are behind one another",
            STRUCT,
            struct.pack(">BhBB", 3, 215, 40, 92),
            {"fields": optional},
            values(flags=3, temperature=21.5, humidity=40, battery=92),
        ),
        decode("none of them", STRUCT, struct.pack(">B", 0), {"fields": optional}, values(flags=0)),
        decode(
            "as often as a field says",
            CONSTRUCT + " would say PrefixedArray; Python struct",
            body + b"\x09",
            {"fields": channels},
            values(channel_0=11.11, channel_1=22.22, tail=9),
        ),
        decode(
            "a count beyond the frame",
            STRUCT,
            b"\xff" + body[1:],
            {"fields": channels},
            values(channel_0=11.11, channel_1=22.22),
            error="layout.truncated",
        ),
        decode(
            "at a stride",
            STRUCT,
            struct.pack("6B", 1, 2, 3, 4, 5, 6),
            {"fields": spread},
            values(a1=1, a2=3, a3=5, b1=2, b2=4, b3=6),
        ),
        decode(
            "samples with times of their own",
            STRUCT,
            logged,
            {"fields": samples},
            *(
                {
                    "ts": (1_700_000_000 + 60 * n) * 10**9,
                    "values": {"level": 100 + n, "ok": bool(n % 2)},
                }
                for n in range(3)
            ),
            values(id=7),
        ),
        decode(
            "a name that comes again begins a further message",
            STRUCT,
            struct.pack("3B", 1, 2, 3),
            {"fields": [{"name": "v", "type": "u8", "repeat": {"count": "end"}}]},
            values(v=1),
            values(v=2),
            values(v=3),
        ),
        decode(
            "a variant by its first byte",
            STRUCT,
            level + bytes([sum(level) % 256]),
            variants,
            values(level=321),
        ),
        decode(
            "a variant by some bits",
            STRUCT,
            flow + bytes([sum(flow) % 256]),
            variants,
            values(flow=654),
        ),
        decode(
            "a variant without the checksum of the others",
            STRUCT,
            b"\x02hello",
            variants,
            values(text="hello"),
        ),
        decode(
            "a length that is not the variant's",
            STRUCT,
            level + b"\0" + bytes([sum(level) % 256]),
            variants,
            error="layout.length",
        ),
        decode("none of the variants", STRUCT, b"\x03\x03", variants, error="layout.head"),
        decode(
            "what was read before the frame ends stands",
            STRUCT,
            struct.pack(">HB", 5, 1),
            {"fields": [{"name": "a", "type": "u16"}, {"name": "b", "type": "u16"}]},
            values(a=5),
            error="layout.truncated",
        ),
    ]
