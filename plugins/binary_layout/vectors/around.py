"""What stands around the fields: checksums, moments, devices, text."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import Any

from crccheck.checksum import Checksum8, ChecksumXor8
from crccheck.crc import Crc8, Crc16CcittFalse, Crc16Modbus, Crc32, CrcKermit, CrcXmodem
from vector import STRUCT, decode, values


def checksums() -> list[Any]:
    body = struct.pack(">BHh", 0x11, 2301, -55)
    fields = [
        {"name": "voltage", "type": "u16", "offset": 1, "scale": 0.1},
        {"name": "temperature", "type": "i16", "scale": 0.1},
    ]
    kinds = {
        "crc16-modbus": (Crc16Modbus, "<H"),
        "crc16-ccitt": (Crc16CcittFalse, ">H"),
        "crc16-xmodem": (CrcXmodem, ">H"),
        "crc16-kermit": (CrcKermit, "<H"),
        "crc32": (Crc32, ">I"),
        "crc8": (Crc8, ">B"),
        "sum8": (Checksum8, ">B"),
        "xor8": (ChecksumXor8, ">B"),
    }
    vectors = []
    good = values(voltage=230.1, temperature=-5.5)
    for kind, (engine, pack) in kinds.items():
        frame = body + struct.pack(pack, engine.calc(body))
        settings = {"length": len(frame), "fields": fields, "checksum": {"type": kind}}
        vectors.append(
            decode(f"{kind} holds", f"crccheck 1.3.1, {engine.__name__}", frame, settings, good)
        )
        bad = bytes([frame[0], frame[1] ^ 1]) + frame[2:]
        vectors.append(
            decode(
                f"{kind} does not hold",
                f"crccheck 1.3.1, {engine.__name__}, a bit turned over",
                bad,
                settings,
                error="layout.checksum",
            )
        )
    inner = b"\x02" + body + struct.pack(">H", Crc16CcittFalse.calc(body)) + b"\x03"
    added = body + bytes([-sum(body) % 256])
    vectors += [
        decode(
            "a checksum within the frame, of a part of it",
            "crccheck 1.3.1, Crc16CcittFalse, between STX and ETX",
            inner,
            {
                "fields": [{"name": "voltage", "type": "u16", "offset": 2, "scale": 0.1}],
                "checksum": {"type": "crc16-ccitt", "offset": -3, "from": 1, "to": -3},
            },
            values(voltage=230.1),
        ),
        decode(
            "the other byte order",
            "crccheck 1.3.1, Crc16Modbus",
            body + struct.pack(">H", Crc16Modbus.calc(body)),
            {"fields": fields, "checksum": {"type": "crc16-modbus", "endian": "big"}},
            good,
        ),
        decode(
            "a sum of sixteen bits",
            "Python sum",
            body + struct.pack(">H", sum(body)),
            {"fields": fields, "checksum": {"type": "sum16"}},
            good,
        ),
        decode(
            "all bytes add up to zero",
            "Python sum",
            added,
            {"fields": fields, "checksum": {"type": "lrc8"}},
            good,
        ),
        decode(
            "no room for the checksum",
            "one byte",
            "00",
            {"fields": [{"name": "a", "type": "u8"}], "checksum": {"type": "crc16-modbus"}},
            error="layout.length",
        ),
        decode(
            "a length that is not the layout's",
            STRUCT,
            body,
            {"length": 6, "fields": fields},
            error="layout.length",
        ),
    ]
    return vectors


MOMENT = datetime(2026, 3, 29, 1, 30, 5, tzinfo=UTC)
NS = int(MOMENT.timestamp()) * 10**9


def around() -> list[Any]:
    seconds = int(MOMENT.timestamp())
    east = (MOMENT + timedelta(hours=8)).replace(tzinfo=None)
    bcd = bytes.fromhex(east.strftime("%y%m%d%H%M%S"))
    parts = bytes([east.year - 2000, east.month, east.day, east.hour, east.minute, east.second])
    gps = seconds - int(datetime(1980, 1, 6, tzinfo=UTC).timestamp())
    value = [{"name": "v", "type": "u8", "offset": 0}]
    message = {"ts": NS, "values": {"v": 5}}
    identity = struct.pack(
        ">B4sI6s8s",
        5,
        bytes.fromhex("a1b2c3d4"),
        305419896,
        bytes.fromhex("001234567890"),
        b"PUMP-7\0\0",
    )
    keys = [
        ("hex", 1, 4, "a1b2c3d4"),
        ("unsigned", 5, 4, "305419896"),
        ("bcd", 9, 6, "001234567890"),
        ("ascii", -8, 8, "PUMP-7"),
    ]
    vectors = [
        decode(
            "a time in seconds",
            STRUCT,
            struct.pack(">BI", 5, seconds),
            {"fields": value, "ts": {"offset": 1}},
            message,
        ),
        decode(
            "a time in milliseconds, low byte first",
            STRUCT,
            struct.pack("<BQ", 5, seconds * 1000 + 250),
            {"endian": "little", "fields": value, "ts": {"offset": 1, "format": "epoch_ms"}},
            message | {"ts": NS + 250_000_000},
        ),
        decode(
            "a time counted from 1980",
            STRUCT,
            struct.pack(">BI", 5, gps),
            {"fields": value, "ts": {"offset": -4, "since_s": 315964800}},
            message,
        ),
        decode(
            "a time in decimal digits, of a clock ahead of UTC",
            "Python strftime",
            b"\x05" + bcd,
            {"fields": value, "ts": {"offset": 1, "format": "bcd", "utc_offset_min": 480}},
            message,
        ),
        decode(
            "a time in bytes",
            "Python datetime",
            b"\x05" + parts,
            {"fields": value, "ts": {"offset": 1, "format": "bytes", "utc_offset_min": 480}},
            message,
        ),
        decode(
            "a time as a value",
            STRUCT,
            struct.pack(">I", seconds),
            {"fields": [{"name": "since", "type": "time"}]},
            values(since={"$time": NS}),
        ),
        decode(
            "a clock that was never set is an error beside the values",
            "zeros",
            "05 00 00 00 00 00 00",
            {"fields": value, "ts": {"offset": 1, "format": "bytes"}},
            values(v=5),
            error="layout.value",
        ),
    ]
    vectors += [
        decode(
            f"a device's key, {kind}",
            STRUCT,
            identity,
            {"fields": value, "device": {"offset": offset, "length": length, "format": kind}},
            {"device": key, "values": {"v": 5}},
        )
        for kind, offset, length, key in keys
    ]
    vectors += [
        decode(
            "a device's key with a prefix",
            STRUCT,
            identity,
            {"fields": value, "device": {"offset": 1, "length": 4, "prefix": "meter-"}},
            {"device": "meter-a1b2c3d4", "values": {"v": 5}},
        ),
        decode(
            "a key that is no text",
            STRUCT,
            identity,
            {"fields": value, "device": {"offset": 1, "length": 4, "format": "ascii"}},
            error="layout.device",
        ),
        decode(
            "text and bytes",
            STRUCT,
            struct.pack(">8s3sB", b"AB-12  \0", b"\x01\xfe\xff", 2) + b"caf\xe9",
            {
                "fields": [
                    {"name": "serial", "type": "string", "length": 8},
                    {"name": "raw", "type": "hex", "offset": 8, "length": 3},
                    {"name": "same", "type": "bytes", "offset": 8, "length": 3},
                    {"name": "n", "type": "u8", "hidden": True},
                    {"name": "word", "type": "string", "length": {"field": "n"}},
                    {"name": "rest", "type": "string", "length": "end"},
                ]
            },
            values(serial="AB-12", raw="01feff", same={"$bytes": "01feff"}, word="ca", rest="fé"),
        ),
    ]
    return vectors
