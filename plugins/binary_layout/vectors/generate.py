"""Writes the vectors: frames made by others' encoders, and published examples of real sensors.

    pip install construct==2.10.70 crccheck==1.3.1
    python generate.py

Bytes come from Python's ``struct`` and ``ctypes``, from construct and from crccheck; what is expected
is what was put into them. Examples of sensors are named with their document, and expect what it says.
"""

from __future__ import annotations

import ctypes
import json
import struct
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from construct import BitsInteger, BitStruct, Flag
from crccheck.checksum import Checksum8, ChecksumXor8
from crccheck.crc import Crc8, Crc16Modbus, Crc32, Crc16CcittFalse, CrcKermit, CrcXmodem

HERE = Path(__file__).parent
STRUCT, CONSTRUCT = "Python struct", "construct 2.10.70"


def decode(name: str, source: str, frame: bytes | str, settings: dict[str, Any], *messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    frame = frame if isinstance(frame, str) else frame.hex()
    expect: dict[str, Any] = {"messages": list(messages)} if messages else {}
    return {"name": name, "source": source, "context": {"settings": settings}, "input": {"hex": frame}, "expect": expect | more}


def values(**values: Any) -> dict[str, Any]:
    return {"values": values}


def encode(name: str, source: str, settings: dict[str, Any], command: str, params: dict[str, Any], frame: bytes | str, **context: Any) -> dict[str, Any]:
    frame = frame if isinstance(frame, str) else frame.hex()
    return {
        "name": name,
        "source": source,
        "function": "encode",
        "context": {"settings": settings} | context,
        "input": {"json": {"command": command, "params": params}},
        "expect": {"frames": [frame]},
    }


# --- numbers --------------------------------------------------------------------------------------


def numbers() -> list[Any]:
    whole = {"u8": ("B", 200), "u16": ("H", 60_000), "u32": ("I", 4_000_000_000), "i8": ("b", -100), "i16": ("h", -30_000), "i32": ("i", -2_000_000_000), "i64": ("q", -(2**62))}
    floats = {"f16": ("e", -1.5), "f32": ("f", 21.25), "f64": ("d", 1e-300)}
    vectors = []
    for endian, mark in (("big", ">"), ("little", "<")):
        kinds = whole | floats
        frame = struct.pack(mark + "".join(code for code, _ in kinds.values()), *(value for _, value in kinds.values()))
        fields = [{"name": kind, "type": kind} for kind in kinds]
        expected = {kind: value for kind, (_, value) in kinds.items()}
        vectors.append(decode(f"every width behind one another, {endian}", STRUCT, frame, {"endian": endian, "length": len(frame), "fields": fields}, values(**expected)))
        odd = {"u24": 3, "u40": 5, "u48": 6, "u56": 7}
        frame = b"".join((2 ** (8 * size) - 2).to_bytes(size, endian) for size in odd.values())
        frame += b"".join((-2).to_bytes(size, endian, signed=True) for size in odd.values())
        fields = [{"name": kind, "type": kind} for kind in [*odd, *(kind.replace("u", "i") for kind in odd)]]
        expected = {kind: 2 ** (8 * size) - 2 for kind, size in odd.items()} | {kind.replace("u", "i"): -2 for kind in odd}
        vectors.append(decode(f"odd widths, {endian}", "Python int.to_bytes", frame, {"endian": endian, "fields": fields}, values(**expected)))
    mixed = struct.pack(">Hh", 1234, -56) + struct.pack("<I", 987_654)
    vectors += [
        decode(
            "scale, offset and unit; one field of the other byte order", STRUCT, mixed,
            {"fields": [
                {"name": "temperature", "type": "u16", "scale": 0.1, "add": -40, "unit": "°C"},
                {"name": "flow", "type": "i16", "scale": 0.5},
                {"name": "energy", "type": "u32", "scale": 0.001, "endian": "little", "unit": "MWh"},
            ]},
            values(temperature=83.4, flow=-28, energy=987.654),
        ),
        decode("more than a signed number holds", STRUCT, struct.pack(">Q", 2**63), {"fields": [{"name": "n", "type": "u64"}]}, values(n=float(2**63))),
        decode(
            "places from the beginning, from the end, and behind one another", STRUCT, struct.pack(">HBBBH", 0xAAAA, 1, 2, 3, 4),
            {"fields": [{"name": "last", "type": "u16", "offset": -2}, {"name": "first", "type": "u8", "offset": 2}, {"name": "second", "type": "u8"}]},
            values(last=4, first=1, second=2),
        ),
        decode(
            "what was not measured is left out", STRUCT, struct.pack(">hHHf", -32768, 0xFFFF, 7, float("nan")),
            {"fields": [
                {"name": "a", "type": "i16", "null": "0x8000"}, {"name": "b", "type": "u16", "null": [0, "0xffff"]},
                {"name": "c", "type": "u16", "null": 0}, {"name": "d", "type": "f32"},
            ]},
            values(c=7),
        ),
        decode(
            "words for numbers", STRUCT, struct.pack(">BbB", 2, -1, 9),
            {"fields": [
                {"name": "mode", "type": "u8", "enum": {"1": "off", "2": "heat"}}, {"name": "state", "type": "i8", "enum": {"-1": "failed"}},
                {"name": "other", "type": "u8", "enum": {"0x01": "one"}},
            ]},
            values(mode="heat", state="failed", other=9),
        ),
        decode(
            "mask and shift", CONSTRUCT, BitStruct("b" / BitsInteger(3), "a" / BitsInteger(11), "c" / BitsInteger(2)).build({"a": 1025, "b": 5, "c": 3}),
            {"fields": [{"name": "a", "type": "u16", "offset": 0, "mask": "0x1ffc", "shift": 2}, {"name": "b", "type": "u16", "offset": 0, "shift": 13}, {"name": "c", "type": "u16", "offset": 0, "mask": 3}]},
            values(a=1025, b=5, c=3),
        ),
        decode(
            "decimal digits", "BCD by hand: the digits of the hexadecimal text", "12 34 56 78 90 99 ff ff",
            {"fields": [{"name": "volume", "type": "bcd", "length": 4, "scale": 0.001}, {"name": "swapped", "type": "bcd", "length": 2, "endian": "little"}, {"name": "none", "type": "bcd", "length": 2, "null": "0xffff"}]},
            values(volume=12345.678, swapped=9990),
        ),
        decode(
            "what are no decimal digits is an error beside the others", "BCD by hand", "1a 34 07",
            {"fields": [{"name": "a", "type": "bcd", "length": 2}, {"name": "b", "type": "u8"}]}, values(b=7), error="layout.value",
        ),
    ]
    return vectors


# --- bits -----------------------------------------------------------------------------------------


class LittleBits(ctypes.LittleEndianStructure):
    """Bit fields as compilers for little-endian machines lay them out: from the lowest bit on."""

    _pack_ = 1
    _fields_ = [("a", ctypes.c_uint32, 3), ("b", ctypes.c_uint32, 11), ("c", ctypes.c_int32, 6), ("d", ctypes.c_uint32, 12)]


def bits() -> list[Any]:
    across = BitStruct("a" / BitsInteger(3), "b" / BitsInteger(11), "c" / BitsInteger(6, signed=True), "on" / Flag, "d" / BitsInteger(43))
    put = {"a": 5, "b": 1234, "c": -17, "on": True, "d": 2**42 + 1}
    msb = across.build(put)
    little = bytes(LittleBits(a=5, b=1234, c=-17, d=4000))
    flags = BitStruct(*(name / Flag for name in "hgfedcba")).build({"h": 0, "g": 1, "f": 0, "e": 0, "d": 0, "c": 1, "b": 0, "a": 1})
    return [
        decode(
            "bits across bytes, the highest first", CONSTRUCT, msb,
            {"fields": [
                {"name": "a", "type": "bits", "width": 3}, {"name": "b", "type": "bits", "width": 11}, {"name": "c", "type": "bits", "width": 6, "signed": True},
                {"name": "on", "type": "bits", "width": 1}, {"name": "d", "type": "bits", "width": 43},
            ]},
            values(**(put | {"on": 1})),
        ),
        decode(
            "bits at places of their own", CONSTRUCT, msb,
            {"fields": [
                {"name": "on", "type": "bool", "offset": 2, "bit": 4}, {"name": "c", "type": "bits", "offset": 1, "bit": 6, "width": 6, "signed": True, "scale": 0.5},
                {"name": "b", "type": "bits", "offset": 0, "bit": 3, "width": 11},
            ]},
            values(on=True, c=-8.5, b=1234),
        ),
        decode(
            "bits across bytes, the lowest first", "Python ctypes, bit fields of a little-endian structure", little,
            {"bit_order": "lsb", "fields": [
                {"name": "a", "type": "bits", "width": 3}, {"name": "b", "type": "bits", "width": 11},
                {"name": "c", "type": "bits", "width": 6, "signed": True}, {"name": "d", "type": "bits", "width": 12},
            ]},
            values(a=5, b=1234, c=-17, d=4000),
        ),
        decode(
            "flags of a byte, counted from the lowest bit, and a byte behind them", CONSTRUCT, flags + b"\x07",
            {"bit_order": "lsb", "fields": [{"name": name, "type": "bool", "offset": 0, "bit": bit} for bit, name in enumerate("abcdefgh")] + [{"name": "next", "type": "u8"}]},
            values(a=True, b=False, c=True, d=False, e=False, f=False, g=True, h=False, next=7),
        ),
        decode("a byte that is not zero", STRUCT, struct.pack("BB", 2, 0), {"fields": [{"name": "on", "type": "bool"}, {"name": "off", "type": "bool"}]}, values(on=True, off=False)),
    ]


# --- checksums ------------------------------------------------------------------------------------


def checksums() -> list[Any]:
    body = struct.pack(">BHh", 0x11, 2301, -55)
    fields = [{"name": "voltage", "type": "u16", "offset": 1, "scale": 0.1}, {"name": "temperature", "type": "i16", "scale": 0.1}]
    kinds = {
        "crc16-modbus": (Crc16Modbus, "<H"), "crc16-ccitt": (Crc16CcittFalse, ">H"), "crc16-xmodem": (CrcXmodem, ">H"), "crc16-kermit": (CrcKermit, "<H"),
        "crc32": (Crc32, ">I"), "crc8": (Crc8, ">B"), "sum8": (Checksum8, ">B"), "xor8": (ChecksumXor8, ">B"),
    }
    vectors = []
    good = values(voltage=230.1, temperature=-5.5)
    for kind, (engine, pack) in kinds.items():
        frame = body + struct.pack(pack, engine.calc(body))
        settings = {"length": len(frame), "fields": fields, "checksum": {"type": kind}}
        vectors.append(decode(f"{kind} holds", f"crccheck 1.3.1, {engine.__name__}", frame, settings, good))
        bad = bytes([frame[0], frame[1] ^ 1]) + frame[2:]
        vectors.append(decode(f"{kind} does not hold", f"crccheck 1.3.1, {engine.__name__}, a bit turned over", bad, settings, error="layout.checksum"))
    inner = b"\x02" + body + struct.pack(">H", Crc16CcittFalse.calc(body)) + b"\x03"
    added = body + bytes([-sum(body) % 256])
    vectors += [
        decode(
            "a checksum within the frame, of a part of it", "crccheck 1.3.1, Crc16CcittFalse, between STX and ETX", inner,
            {"fields": [{"name": "voltage", "type": "u16", "offset": 2, "scale": 0.1}], "checksum": {"type": "crc16-ccitt", "offset": -3, "from": 1, "to": -3}},
            values(voltage=230.1),
        ),
        decode(
            "the other byte order", "crccheck 1.3.1, Crc16Modbus", body + struct.pack(">H", Crc16Modbus.calc(body)),
            {"fields": fields, "checksum": {"type": "crc16-modbus", "endian": "big"}}, good,
        ),
        decode("a sum of sixteen bits", "Python sum", body + struct.pack(">H", sum(body)), {"fields": fields, "checksum": {"type": "sum16"}}, good),
        decode("all bytes add up to zero", "Python sum", added, {"fields": fields, "checksum": {"type": "lrc8"}}, good),
        decode("no room for the checksum", "one byte", "00", {"fields": [{"name": "a", "type": "u8"}], "checksum": {"type": "crc16-modbus"}}, error="layout.length"),
        decode("a length that is not the layout's", STRUCT, body, {"length": 6, "fields": fields}, error="layout.length"),
    ]
    return vectors


# --- what is around the fields ----------------------------------------------------------------------


MOMENT = datetime(2026, 3, 29, 1, 30, 5, tzinfo=timezone.utc)
NS = int(MOMENT.timestamp()) * 10**9


def around() -> list[Any]:
    seconds = int(MOMENT.timestamp())
    east = (MOMENT + timedelta(hours=8)).replace(tzinfo=None)
    bcd = bytes.fromhex(east.strftime("%y%m%d%H%M%S"))
    parts = bytes([east.year - 2000, east.month, east.day, east.hour, east.minute, east.second])
    gps = seconds - int(datetime(1980, 1, 6, tzinfo=timezone.utc).timestamp())
    value = [{"name": "v", "type": "u8", "offset": 0}]
    message = {"ts": NS, "values": {"v": 5}}
    identity = struct.pack(">B4sI6s8s", 5, bytes.fromhex("a1b2c3d4"), 305419896, bytes.fromhex("001234567890"), b"PUMP-7\0\0")
    keys = [("hex", 1, 4, "a1b2c3d4"), ("unsigned", 5, 4, "305419896"), ("bcd", 9, 6, "001234567890"), ("ascii", -8, 8, "PUMP-7")]
    vectors = [
        decode("a time in seconds", STRUCT, struct.pack(">BI", 5, seconds), {"fields": value, "ts": {"offset": 1}}, message),
        decode("a time in milliseconds, low byte first", STRUCT, struct.pack("<BQ", 5, seconds * 1000 + 250), {"endian": "little", "fields": value, "ts": {"offset": 1, "format": "epoch_ms"}}, message | {"ts": NS + 250_000_000}),
        decode("a time counted from 1980", STRUCT, struct.pack(">BI", 5, gps), {"fields": value, "ts": {"offset": -4, "since_s": 315964800}}, message),
        decode("a time in decimal digits, of a clock ahead of UTC", "Python strftime", b"\x05" + bcd, {"fields": value, "ts": {"offset": 1, "format": "bcd", "utc_offset_min": 480}}, message),
        decode("a time in bytes", "Python datetime", b"\x05" + parts, {"fields": value, "ts": {"offset": 1, "format": "bytes", "utc_offset_min": 480}}, message),
        decode("a time as a value", STRUCT, struct.pack(">I", seconds), {"fields": [{"name": "since", "type": "time"}]}, values(since={"$time": NS})),
        decode("a clock that was never set is an error beside the values", "zeros", "05 00 00 00 00 00 00", {"fields": value, "ts": {"offset": 1, "format": "bytes"}}, values(v=5), error="layout.value"),
    ]
    vectors += [
        decode(f"a device's key, {kind}", STRUCT, identity, {"fields": value, "device": {"offset": offset, "length": length, "format": kind}}, {"device": key, "values": {"v": 5}})
        for kind, offset, length, key in keys
    ]
    vectors += [
        decode("a device's key with a prefix", STRUCT, identity, {"fields": value, "device": {"offset": 1, "length": 4, "prefix": "meter-"}}, {"device": "meter-a1b2c3d4", "values": {"v": 5}}),
        decode("a key that is no text", STRUCT, identity, {"fields": value, "device": {"offset": 1, "length": 4, "format": "ascii"}}, error="layout.device"),
        decode(
            "text and bytes", STRUCT, struct.pack(">8s3sB", b"AB-12  \0", b"\x01\xfe\xff", 2) + b"caf\xe9",
            {"fields": [{"name": "serial", "type": "string", "length": 8}, {"name": "raw", "type": "hex", "offset": 8, "length": 3}, {"name": "same", "type": "bytes", "offset": 8, "length": 3}, {"name": "n", "type": "u8", "hidden": True}, {"name": "word", "type": "string", "length": {"field": "n"}}, {"name": "rest", "type": "string", "length": "end"}]},
            values(serial="AB-12", raw="01feff", same={"$bytes": "01feff"}, word="ca", rest="fé"),
        ),
    ]
    return vectors


# --- fields that are there or not, or often -----------------------------------------------------------


def shapes() -> list[Any]:
    optional = [
        {"name": "flags", "type": "u8"},
        {"name": "temperature", "type": "i16", "scale": 0.1, "when": {"field": "flags", "mask": 1, "equals": 1}},
        {"name": "humidity", "type": "u8", "when": {"field": "flags", "mask": 2, "equals": 2}},
        {"name": "battery", "type": "u8", "when": {"offset": -1, "equals": [90, 91, 92]}},
    ]
    channels = [
        {"name": "n", "type": "u8", "hidden": True},
        {"name": "channel_{i}", "type": "u16", "scale": 0.01, "repeat": {"count": {"field": "n"}, "from": 0}},
        {"name": "tail", "type": "u8"},
    ]
    spread = [{"name": "a{i}", "type": "u8", "offset": 0, "repeat": {"count": 3, "stride": 2}}, {"name": "b{i}", "type": "u8", "offset": 1, "repeat": {"count": 3, "stride": 2}}]
    samples = [
        {"name": "id", "type": "u8"},
        {"type": "group", "repeat": {"count": "end"}, "ts": {"offset": 0}, "fields": [{"name": "level", "type": "u16", "offset": 4}, {"name": "ok", "type": "bool"}]},
    ]
    logged = b"\x07" + b"".join(struct.pack(">IH?", 1_700_000_000 + 60 * n, 100 + n, n % 2) for n in range(3))
    body = b"\x02" + struct.pack(">HH", 1111, 2222)
    variants = {
        "fields": [{"name": "kind", "type": "u8", "hidden": True}],
        "checksum": {"type": "sum8"},
        "variants": [
            {"head": {"bytes": "01"}, "length": 4, "fields": [{"name": "level", "type": "u16"}]},
            {"head": {"bytes": "80", "mask": "80"}, "endian": "little", "fields": [{"name": "flow", "type": "u16"}]},
            {"head": {"bytes": "02"}, "checksum": {"type": "none"}, "fields": [{"name": "text", "type": "string", "length": "end"}]},
        ],
    }
    level, flow = struct.pack(">BH", 1, 321), struct.pack("<BH", 0x85, 654)
    return [
        decode("a field that a bit announces", STRUCT, struct.pack(">BhB", 1, 215, 90), {"fields": optional}, values(flags=1, temperature=21.5, battery=90)),
        decode("the others are behind one another", STRUCT, struct.pack(">BhBB", 3, 215, 40, 92), {"fields": optional}, values(flags=3, temperature=21.5, humidity=40, battery=92)),
        decode("none of them", STRUCT, struct.pack(">B", 0), {"fields": optional}, values(flags=0)),
        decode("as often as a field says", CONSTRUCT + " would say PrefixedArray; Python struct", body + b"\x09", {"fields": channels}, values(channel_0=11.11, channel_1=22.22, tail=9)),
        decode("a count beyond the frame", STRUCT, b"\xff" + body[1:], {"fields": channels}, values(channel_0=11.11, channel_1=22.22), error="layout.truncated"),
        decode("at a stride", STRUCT, struct.pack("6B", 1, 2, 3, 4, 5, 6), {"fields": spread}, values(a1=1, a2=3, a3=5, b1=2, b2=4, b3=6)),
        decode(
            "samples with times of their own", STRUCT, logged, {"fields": samples},
            *({"ts": (1_700_000_000 + 60 * n) * 10**9, "values": {"level": 100 + n, "ok": bool(n % 2)}} for n in range(3)), values(id=7),
        ),
        decode(
            "a name that comes again begins a further message", STRUCT, struct.pack("3B", 1, 2, 3),
            {"fields": [{"name": "v", "type": "u8", "repeat": {"count": "end"}}]}, values(v=1), values(v=2), values(v=3),
        ),
        decode("a variant by its first byte", STRUCT, level + bytes([sum(level) % 256]), variants, values(level=321)),
        decode("a variant by some bits", STRUCT, flow + bytes([sum(flow) % 256]), variants, values(flow=654)),
        decode("a variant without the checksum of the others", STRUCT, b"\x02hello", variants, values(text="hello")),
        decode("a length that is not the variant's", STRUCT, level + b"\0" + bytes([sum(level) % 256]), variants, error="layout.length"),
        decode("none of the variants", STRUCT, b"\x03\x03", variants, error="layout.head"),
        decode(
            "what was read before the frame ends stands", STRUCT, struct.pack(">HB", 5, 1),
            {"fields": [{"name": "a", "type": "u16"}, {"name": "b", "type": "u16"}]}, values(a=5), error="layout.truncated",
        ),
    ]


# --- real sensors -------------------------------------------------------------------------------------

MILESIGHT = {
    "endian": "little",
    "fields": [
        {
            "type": "group",
            "repeat": {"count": "end"},
            "fields": [
                {"name": "channel", "type": "u8", "hidden": True},
                {"name": "kind", "type": "u8", "hidden": True},
                {
                    "type": "switch",
                    "on": "kind",
                    "cases": {
                        "0x75": [{"name": "battery", "type": "u8", "unit": "%"}],
                        "0x67": [{"name": "temperature", "type": "i16", "scale": 0.1, "unit": "°C"}],
                        "0x68": [{"name": "humidity", "type": "u8", "scale": 0.5, "unit": "%"}],
                        "0x00": [{"name": "leak", "type": "bool"}],
                        "0xc8": [{"name": "counter", "type": "u32"}],
                        "0xce": [
                            {
                                "type": "group",
                                "ts": {"offset": 0},
                                "fields": [{"name": "temperature", "type": "i16", "scale": 0.1, "offset": 4}, {"name": "humidity", "type": "u8", "scale": 0.5}],
                            }
                        ],
                    },
                },
            ],
        }
    ],
    "commands": {"set_reporting_interval": {"template": "ff 03 00 00", "fields": [{"name": "interval_s", "type": "u16", "offset": 2, "unit": "s"}]}},
}

DRAGINO = {
    "fields": [
        {
            "type": "group",
            "repeat": {"count": "end"},
            "ts": {"offset": 7},
            "fields": [
                {"name": "external", "type": "i16", "scale": 0.01, "null": "0x7fff", "unit": "°C"},
                {"name": "temperature", "type": "i16", "scale": 0.01, "unit": "°C"},
                {"name": "humidity", "type": "u16", "scale": 0.1, "unit": "%"},
                {"name": "is_reply", "type": "bool", "offset": 6, "bit": 6, "bit_order": "lsb"},
                {"name": "sensor", "type": "bits", "offset": 6, "bit": 0, "width": 4, "bit_order": "lsb"},
            ],
        }
    ]
}
DRAGINO_LOG = (
    "7FFF089801464160065F97 7FFF088E014B4160066009 7FFF0885014E4160066066 7FFF0875015141600662BE"
    "7FFF086B01554160066516 7FFF08660155416006676E 7FFF085F015A41600669C6 7FFF0857015D4160066C1E"
)


def sensors() -> list[Any]:
    manual = "Milesight EM300 Series, User Guide, 5.2 Sensor Data"
    readme = "Milesight-IoT/SensorDecoders, EM_Series/EM300_Series"
    dragino = "Dragino LHT65, User Manual, Datalog: the first record as it is explained, the others as struct reads them"
    log = bytes.fromhex(DRAGINO_LOG)
    records = [struct.unpack(">hhHBI", log[at : at + 11]) for at in range(0, len(log), 11)]
    assert records[0][1:3] == (2200, 326) and records[0][4] == 1611030423
    messages = [
        {"ts": seconds * 10**9, "values": {"temperature": temperature / 100, "humidity": humidity / 10, "is_reply": True, "sensor": 1}}
        for _, temperature, humidity, _, seconds in records
    ]
    return [
        decode("Milesight EM300-TH", f"{readme}/EM300-TH/README.md", "01 75 5C 03 67 34 01 04 68 65", MILESIGHT, values(battery=92, temperature=30.8, humidity=50.5)),
        decode("Milesight EM300-SLD", manual, "01 75 64 03 67 10 01 04 68 71 05 00 01", MILESIGHT, values(battery=100, temperature=27.2, humidity=56.5, leak=True)),
        decode("Milesight EM320-TH, history", f"{readme}/EM320-TH/README.md", "20 CE 9E 74 46 63 10 01 5D", MILESIGHT, {"ts": 1665561758 * 10**9, "values": {"temperature": 27.2, "humidity": 46.5}}),
        decode("Milesight, a type the layout does not know", f"{readme}/EM300-TH/README.md, another type behind it", "01 75 5C ff 16 00", MILESIGHT, values(battery=92), error="layout.case"),
        encode("Milesight, reporting interval", "Milesight EM300 Series, User Guide, 5.3 Downlink Commands: two bytes, s", MILESIGHT, "set_reporting_interval", {"interval_s": 1200}, "ff 03 b0 04"),
        decode("Dragino LHT65, records of its log", dragino, DRAGINO_LOG, DRAGINO, *messages),
    ]


# --- commands -----------------------------------------------------------------------------------------


def commands() -> list[Any]:
    write = {
        "fields": [
            {"type": "u8", "value": 17}, {"type": "u8", "value": 6}, {"name": "address", "type": "u16", "default": 100},
            {"name": "setpoint", "type": "i16", "scale": 0.1},
        ],
        "checksum": {"type": "crc16-modbus"},
    }
    frame = struct.pack(">BBHh", 17, 6, 100, -55)
    frame += struct.pack("<H", Crc16Modbus.calc(frame))
    packed = BitStruct("mode" / BitsInteger(3), "on" / Flag, "level" / BitsInteger(12, signed=True)).build({"mode": 2, "on": True, "level": -300})
    bit_fields = [{"name": "mode", "type": "bits", "width": 3, "enum": {"2": "heat"}}, {"name": "on", "type": "bool", "offset": 0, "bit": 3}, {"name": "level", "type": "bits", "offset": 0, "bit": 4, "width": 12, "signed": True}]
    mixed = struct.pack("<6sdf", b"AB", 1e-300, 21.25) + struct.pack("<I", 1_774_747_805)
    mixed_fields = [{"name": "name", "type": "string", "length": 6}, {"name": "d", "type": "f64"}, {"name": "f", "type": "f32", "scale": 2}, {"name": "at", "type": "time", "default": "now"}]
    clock = bytes.fromhex("260329013005")
    framed = b"\x02" + struct.pack(">H", 500) + b"\x00\x00" + b"\x03"
    framed = framed[:3] + struct.pack(">H", Crc16CcittFalse.calc(framed[1:3])) + framed[5:]
    settings = {
        "commands": {
            "write": write,
            "pack": {"fields": bit_fields},
            "mixed": {"endian": "little", "fields": mixed_fields},
            "clock": {"fields": [{"name": "at", "type": "time", "format": "bcd"}]},
            "framed": {"template": "02 0000 0000 03", "fields": [{"name": "v", "type": "u16", "offset": 1}], "checksum": {"type": "crc16-ccitt", "offset": 3, "from": 1}},
            "digits": {"length": 4, "fields": [{"name": "volume", "type": "bcd", "length": 3, "offset": -3, "scale": 0.01}, {"type": "hex", "offset": 0, "length": 1, "value": "aa"}]},
            "masked": {"template": "ffff", "fields": [{"name": "v", "type": "u16", "offset": 0, "mask": "0x0ff0", "shift": 4}]},
        }
    }
    return [
        encode("fields in reverse, and the checksum", f"{STRUCT}, crccheck 1.3.1", settings, "write", {"setpoint": -5.5}, frame),
        encode("bits, words, yes and no", CONSTRUCT, settings, "pack", {"mode": "heat", "on": True, "level": -300}, packed),
        encode("text, floats and a time", STRUCT, settings, "mixed", {"name": "AB", "d": 1e-300, "f": 42.5, "at": 1_774_747_805}, mixed),
        encode("now is when the command is written", STRUCT, settings, "mixed", {"name": "AB", "d": 1e-300, "f": 42.5}, mixed, received_ns=NS),
        encode("a date in decimal digits", "Python strftime", settings, "clock", {"at": 1_774_747_805}, clock),
        encode("a checksum within the frame", "crccheck 1.3.1, Crc16CcittFalse", settings, "framed", {"v": 500}, framed),
        encode("decimal digits, and bytes that always stand there", "BCD by hand", settings, "digits", {"volume": 1234.56}, "aa 12 34 56"),
        encode("bits outside the mask stay", "Python: 0xffff & ~0x0ff0 | 0x12 << 4", settings, "masked", {"v": 0x12}, "f12f"),
    ]


def write(name: str, vectors: list[Any]) -> None:
    lines = ",\n".join("  " + json.dumps(one, ensure_ascii=False) for one in vectors)
    (HERE / name).write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    for name, make in {
        "numbers": numbers, "bits": bits, "checksums": checksums, "around": around, "shapes": shapes, "sensors": sensors, "commands": commands,
    }.items():
        write(f"{name}.json", make())
