"""Write the vectors that msgpack makes: ``pip install msgpack==1.2.4``, then run this.

What is expected is what the platform's JSON decoder makes of the same payloads
(``plugins/mapping/cases.py``), or was written by hand from the specification.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgpack

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "mapping"))

from cases import Members, command_vectors, vectors, write  # noqa: E402

ENCODER = f"msgpack {version('msgpack')}"


def encode(value: Any) -> bytes:
    """What msgpack makes of a value; objects with names that stand twice are put together."""
    if not isinstance(value, Members):
        return bytes(msgpack.packb(value))
    head = msgpack.Packer().pack_map_header(len(value.members))
    return head + b"".join(encode(name) + encode(inner) for name, inner in value.members)


def vector(name: str, payload: bytes, source: str = ENCODER, **expect: Any) -> dict[str, Any]:
    return {"name": name, "source": source, "input": {"hex": payload.hex()}, "expect": expect}


def types() -> list[dict[str, Any]]:
    """What MessagePack has and JSON has not, and every width."""
    when = datetime(2024, 5, 1, 12, 0, 0, 250_000, UTC)
    ns = 1_714_564_800_250_000_000
    packb = msgpack.packb
    values = {
        "bin": b"\x00\xff",
        "t32": msgpack.Timestamp(1, 0),
        "t64": msgpack.Timestamp.from_datetime(when),
        "t96": msgpack.Timestamp(-1, 5),
        "ext": msgpack.ExtType(5, b"abc"),
        "list": [b"\x01\xab", msgpack.Timestamp(1, 0)],
    }
    expected = {
        "bin": {"$bytes": "00ff"},
        "t32": {"$time": 1_000_000_000},
        "t64": {"$time": ns},
        "t96": {"$time": -999_999_995},
        "ext": {"$bytes": "616263"},
        "list": ["01ab", 1_000_000_000],
    }
    whole = [0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1]
    whole += [-1, -32, -33, -128, -129, -32768, -32769, -(2**31), -(2**31) - 1, -(2**63)]
    numbers = {f"n{number}": number for number in whole}
    widths = {
        "s": "x" * 31,
        "s8": "x" * 32,
        "s16": "x" * 256,
        "s32": "x" * 65536,
        "b8": b"x",
        "b16": b"x" * 256,
    }
    widths |= {"a16": list(range(16)), "f32": 0.0}
    told = {
        name: {"$bytes": value.hex()} if isinstance(value, bytes) else value
        for name, value in widths.items()
    }
    envelope = packb({"ts": msgpack.Timestamp(5, 0), "values": {"t": 1}})
    return [
        vector(
            "bytes, times and extensions are read", packb(values), messages=[{"values": expected}]
        ),
        vector(
            "whole numbers of every width are read", packb(numbers), messages=[{"values": numbers}]
        ),
        vector(
            "texts, bytes and arrays of every width are read",
            packb(widths),
            messages=[{"values": told}],
        ),
        vector(
            "single and double precision are read",
            packb({"single": 1.5, "none": float("nan")}, use_single_float=True)[:-5]
            + packb(float("inf"), use_single_float=True),
            messages=[{"values": {"single": 1.5}}],
        ),
        vector(
            "an envelope's time may be one of the format's own",
            envelope,
            messages=[{"ts": 5 * 10**9, "values": {"t": 1}}],
        ),
        vector(
            "whole numbers may be names",
            packb({1: "a", -2: {3: "b"}}),
            messages=[{"values": {"1": "a", "-2.3": "b"}}],
        ),
        vector("names of another kind are refused", packb({b"t": 1}), error="decode.key"),
        vector("what goes on is refused", packb({"t": 1}) + packb(1), error="msgpack.malformed"),
        vector(
            "what ends too early is refused", packb({"t": "long"})[:-1], error="msgpack.malformed"
        ),
        vector(
            "a text that is not UTF-8 is refused",
            b"\x81\xa1t\xa1\xff",
            "written by hand",
            error="msgpack.malformed",
        ),
        vector(
            "the byte that is never used is refused",
            b"\x81\xa1t\xc1",
            "spec.md, 'Formats'",
            error="msgpack.malformed",
        ),
    ]


def commands() -> list[dict[str, Any]]:
    """Commands; msgpack writes all floats in single precision or none."""
    made = command_vectors(ENCODER, encode)
    for fact, value, single in (
        ("a half stays short", 0.5, True),
        ("a tenth does not", 0.1, False),
    ):
        frame = msgpack.packb({"command": "set", "params": {"x": value}}, use_single_float=single)
        command = {"json": {"command": "set", "params": {"x": value}}}
        expect = {"frames": [frame.hex()]}
        made.append(
            {
                "name": fact,
                "source": ENCODER,
                "function": "encode",
                "input": command,
                "expect": expect,
            }
        )
    return made


if __name__ == "__main__":
    write(HERE / "as_json.json", list(vectors(ENCODER, encode)))
    write(HERE / "types.json", types())
    write(HERE / "commands.json", commands())
