"""Commands, and frames made of the same by others."""

from __future__ import annotations

import struct
from typing import Any

from around import NS
from construct import BitsInteger, BitStruct, Flag
from crccheck.crc import Crc16CcittFalse, Crc16Modbus
from vector import CONSTRUCT, STRUCT, encode


def commands() -> list[Any]:
    write = {
        "fields": [
            {"type": "u8", "value": 17},
            {"type": "u8", "value": 6},
            {"name": "address", "type": "u16", "default": 100},
            {"name": "setpoint", "type": "i16", "scale": 0.1},
        ],
        "checksum": {"type": "crc16-modbus"},
    }
    frame = struct.pack(">BBHh", 17, 6, 100, -55)
    frame += struct.pack("<H", Crc16Modbus.calc(frame))
    packed = BitStruct(
        "mode" / BitsInteger(3), "on" / Flag, "level" / BitsInteger(12, signed=True)
    ).build({"mode": 2, "on": True, "level": -300})
    bit_fields = [
        {"name": "mode", "type": "bits", "width": 3, "enum": {"2": "heat"}},
        {"name": "on", "type": "bool", "offset": 0, "bit": 3},
        {"name": "level", "type": "bits", "offset": 0, "bit": 4, "width": 12, "signed": True},
    ]
    mixed = struct.pack("<6sdf", b"AB", 1e-300, 21.25) + struct.pack("<I", 1_774_747_805)
    mixed_fields = [
        {"name": "name", "type": "string", "length": 6},
        {"name": "d", "type": "f64"},
        {"name": "f", "type": "f32", "scale": 2},
        {"name": "at", "type": "time", "default": "now"},
    ]
    clock = bytes.fromhex("260329013005")
    framed = b"\x02" + struct.pack(">H", 500) + b"\x00\x00" + b"\x03"
    framed = framed[:3] + struct.pack(">H", Crc16CcittFalse.calc(framed[1:3])) + framed[5:]
    settings = {
        "commands": {
            "write": write,
            "pack": {"fields": bit_fields},
            "mixed": {"endian": "little", "fields": mixed_fields},
            "clock": {"fields": [{"name": "at", "type": "time", "format": "bcd"}]},
            "framed": {
                "template": "02 0000 0000 03",
                "fields": [{"name": "v", "type": "u16", "offset": 1}],
                "checksum": {"type": "crc16-ccitt", "offset": 3, "from": 1},
            },
            "digits": {
                "length": 4,
                "fields": [
                    {"name": "volume", "type": "bcd", "length": 3, "offset": -3, "scale": 0.01},
                    {"type": "hex", "offset": 0, "length": 1, "value": "aa"},
                ],
            },
            "masked": {
                "template": "ffff",
                "fields": [{"name": "v", "type": "u16", "offset": 0, "mask": "0x0ff0", "shift": 4}],
            },
        }
    }
    return [
        encode(
            "fields in reverse, and the checksum",
            f"{STRUCT}, crccheck 1.3.1",
            settings,
            "write",
            {"setpoint": -5.5},
            frame,
        ),
        encode(
            "bits, words, yes and no",
            CONSTRUCT,
            settings,
            "pack",
            {"mode": "heat", "on": True, "level": -300},
            packed,
        ),
        encode(
            "text, floats and a time",
            STRUCT,
            settings,
            "mixed",
            {"name": "AB", "d": 1e-300, "f": 42.5, "at": 1_774_747_805},
            mixed,
        ),
        encode(
            "now is when the command is written",
            STRUCT,
            settings,
            "mixed",
            {"name": "AB", "d": 1e-300, "f": 42.5},
            mixed,
            received_ns=NS,
        ),
        encode(
            "a date in decimal digits",
            "Python strftime",
            settings,
            "clock",
            {"at": 1_774_747_805},
            clock,
        ),
        encode(
            "a checksum within the frame",
            "crccheck 1.3.1, Crc16CcittFalse",
            settings,
            "framed",
            {"v": 500},
            framed,
        ),
        encode(
            "decimal digits, and bytes that always stand there",
            "BCD by hand",
            settings,
            "digits",
            {"volume": 1234.56},
            "aa 12 34 56",
        ),
        encode(
            "bits outside the mask stay",
            "Python: 0xffff & ~0x0ff0 | 0x12 << 4",
            settings,
            "masked",
            {"v": 0x12},
            "f12f",
        ),
    ]
