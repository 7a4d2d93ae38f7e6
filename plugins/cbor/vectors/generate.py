"""Write the vectors that cbor2 makes: ``pip install cbor2==6.3.0``, then run this.

The examples of RFC 8949 appendix A and RFC 8428 stand here as they are printed there, and
``appendix_a.txt`` has beside each what cbor2 reads. What is expected elsewhere is what the
platform's JSON decoder makes of the same payloads (``plugins/mapping/cases.py``), or was written by
hand from the specifications.
"""

from __future__ import annotations

import math
import sys
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cbor2

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "mapping"))

from cases import Members, command_vectors, vectors, write  # noqa: E402

ENCODER = f"cbor2 {version('cbor2')}"
NS = 10**9

EXAMPLES = """
00 01 0a 17 1818 1819 1864 1903e8 1a000f4240 1b000000e8d4a51000 1bffffffffffffffff
c249010000000000000000 3bffffffffffffffff c349010000000000000000 20 29 3863 3903e7
f90000 f98000 f93c00 fb3ff199999999999a f93e00 f97bff fa47c35000 fa7f7fffff fb7e37e43c8800759c
f90001 f90400 f9c400 fbc010666666666666 f97c00 f97e00 f9fc00 fa7f800000 fa7fc00000 faff800000
fb7ff0000000000000 fb7ff8000000000000 fbfff0000000000000 f4 f5 f6 f7 f0 f8ff
c074323031332d30332d32315432303a30343a30305a c11a514b67b0 c1fb41d452d9ec200000 d74401020304
d818456449455446 d82076687474703a2f2f7777772e6578616d706c652e636f6d 40 4401020304 60 6161
6449455446 62225c 62c3bc 63e6b0b4 64f0908591 80 83010203 8301820203820405
98190102030405060708090a0b0c0d0e0f101112131415161718181819 a0 a201020304 a26161016162820203
826161a161626163 a56161614161626142616361436164614461656145 5f42010243030405ff
7f657374726561646d696e67ff 9fff 9f018202039f0405ffff 9f01820203820405ff 83018202039f0405ff
83019f0203ff820405 9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff
bf61610161629f0203ffff 826161bf61626163ff bf6346756ef563416d7421ff
"""

RFC_8428_6 = """
87 a7 21 78 1b 75 72 6e 3a 64 65 76 3a 6f 77 3a 31 30 65 32 30 37 33 61 30 31 30 38 30 30 36 3a
22 fb 41 d3 03 a1 5b 00 10 62 23 61 41 20 05 00 67 76 6f 6c 74 61 67 65 01 61 56 02 fb 40 5e 06
66 66 66 66 66 a3 00 67 63 75 72 72 65 6e 74 06 24 02 fb 3f f3 33 33 33 33 33 33 a3 00 67 63 75
72 72 65 6e 74 06 23 02 fb 3f f4 cc cc cc cc cc cd a3 00 67 63 75 72 72 65 6e 74 06 22 02 fb 3f
f6 66 66 66 66 66 66 a3 00 67 63 75 72 72 65 6e 74 06 21 02 f9 3e 00 a3 00 67 63 75 72 72 65 6e
74 06 20 02 fb 3f f9 99 99 99 99 99 9a a3 00 67 63 75 72 72 65 6e 74 06 00 02 fb 3f fb 33 33 33
33 33 33
"""

LABELS = {
    "bver": -1,
    "bn": -2,
    "bt": -3,
    "bu": -4,
    "bv": -5,
    "bs": -6,
    "n": 0,
    "u": 1,
    "v": 2,
    "vs": 3,
    "vb": 4,
    "s": 5,
    "t": 6,
    "ut": 7,
    "vd": 8,
}


def encode(value: Any) -> bytes:
    """What cbor2 makes of a value; objects with names that stand twice are put together."""
    if not isinstance(value, Members):
        return cbor2.dumps(value)
    members = b"".join(encode(name) + encode(inner) for name, inner in value.members)
    return b"\xbf" + members + b"\xff"


def vector(
    name: str,
    payload: bytes,
    source: str = ENCODER,
    settings: dict[str, Any] | None = None,
    **expect: Any,
) -> dict[str, Any]:
    context: dict[str, Any] = {} if settings is None else {"context": {"settings": settings}}
    return {
        "name": name,
        "source": source,
        **context,
        "input": {"hex": payload.hex()},
        "expect": expect,
    }


def exponential(number: float) -> str:
    """As Rust writes a number with an exponent."""
    if math.isnan(number) or math.isinf(number):
        return {"nan": "NaN", "inf": "inf", "-inf": "-inf"}[str(number)]
    sign, digits, exponent = Decimal(repr(number)).as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    shift = len(text) - 1 + exponent if text else 0
    text = text.rstrip("0") or "0"
    return f"{'-' if sign else ''}{text[0]}{'.' if text[1:] else ''}{text[1:]}e{shift}"


def shown(value: Any) -> str:
    """What cbor2 reads, in the words of the reader's test."""
    match value:
        case cbor2.CBORTag():
            return shown(value.value)
        case None | cbor2.undefined | cbor2.CBORSimpleValue():
            return "null"
        case bool():
            return str(value).lower()
        case datetime():
            return f"time {round(Fraction(value.timestamp()) * NS)}"
        case int() if -(2**63) <= value < 2**64:
            return str(value)
        case int() | float():
            return exponential(float(value))
        case str():
            return f'"{value}"' if value != '"\\' else r'"\"\\"'
        case bytes():
            return value.hex()
        case dict():
            return "map"
    return "list"


def appendix_a() -> None:
    lines = [f"{item} {shown(cbor2.loads(bytes.fromhex(item)))}" for item in EXAMPLES.split()]
    head = f"# Examples of RFC 8949 appendix A, and what {ENCODER} reads; made by generate.py.\n"
    (HERE / "appendix_a.txt").write_text(head + "\n".join(lines) + "\n", "utf-8")


def types() -> list[dict[str, Any]]:
    """What CBOR has and JSON has not."""
    ns = 1_714_564_800_250_000_000
    rfc = "RFC 8949 appendix A, 'a': in a map"
    tagged = {
        "text time": cbor2.CBORTag(0, "2024-05-01T14:00:00.25+02:00"),
        "epoch": cbor2.CBORTag(1, 1_714_564_800),
        "epoch real": cbor2.CBORTag(1, 1_714_564_800.25),
        "big": 2**64,
        "small big": cbor2.CBORTag(2, b"\x01\x00"),
        "big negative": -(2**64) - 1,
        "decimal": Decimal("273.15"),
        "binary": cbor2.CBORTag(5, [-1, 3]),
        "uuid": cbor2.CBORTag(37, bytes(range(16))),
        "uri": cbor2.CBORTag(32, "http://example.com"),
        "undefined": cbor2.undefined,
        "simple": cbor2.CBORSimpleValue(99),
        "list": [b"\x01\xab", cbor2.CBORTag(1, 1), Decimal("0.5"), float("nan")],
    }
    expected = {
        "text time": {"$time": ns},
        "epoch": {"$time": 1_714_564_800 * NS},
        "epoch real": {"$time": ns},
        "big": float(2**64),
        "small big": 256,
        "big negative": -float(2**64),
        "decimal": 273.15,
        "binary": 1.5,
        "uuid": {"$bytes": bytes(range(16)).hex()},
        "uri": "http://example.com",
        "list": ["01ab", NS, 0.5, None],
    }
    streamed = bytes.fromhex("bf6346756ef563416d7421ff")
    pieces = b"\xa1\x61s" + bytes.fromhex("7f657374726561646d696e67ff")
    envelope = cbor2.dumps({"ts": cbor2.CBORTag(1, 5), "values": {"t": 1}})
    references = cbor2.dumps([{"name": "t"}, {"name": "t"}], string_referencing=True)
    return [
        vector(
            "times, big numbers and fractions are read by their tags",
            cbor2.dumps(tagged),
            messages=[{"values": expected}],
        ),
        vector(
            "a payload may say that it is CBOR",
            cbor2.dumps(cbor2.CBORTag(55799, {"t": 1})),
            messages=[{"values": {"t": 1}}],
        ),
        vector(
            "maps without a length are read",
            streamed,
            rfc,
            messages=[{"values": {"Fun": True, "Amt": -2}}],
        ),
        vector("texts in pieces are read", pieces, rfc, messages=[{"values": {"s": "streaming"}}]),
        vector(
            "whole numbers may be names",
            bytes.fromhex("a201020304"),
            rfc,
            messages=[{"values": {"1": 2, "3": 4}}],
        ),
        vector(
            "half precision is read",
            b"\xa1\x61h\xf9\xc4\x00",
            rfc,
            messages=[{"values": {"h": -4.0}}],
        ),
        vector(
            "what is not finite is no value",
            cbor2.dumps({"t": 1, "n": float("nan")}),
            messages=[{"values": {"t": 1}}],
        ),
        vector(
            "an envelope's time may be one of the format's own",
            envelope,
            messages=[{"ts": 5 * NS, "values": {"t": 1}}],
        ),
        vector("names of another kind are refused", cbor2.dumps({b"t": 1}), error="decode.key"),
        vector(
            "what goes on is refused",
            cbor2.dumps({"t": 1}) + cbor2.dumps(1),
            error="cbor.malformed",
        ),
        vector(
            "what ends too early is refused",
            cbor2.dumps({"t": "long"})[:-1],
            error="cbor.malformed",
        ),
        vector(
            "a text that is not UTF-8 is refused",
            b"\xa1\x61t\x61\xff",
            "written by hand",
            error="cbor.malformed",
        ),
        vector("references to texts are refused, not misread", references, error="cbor.reference"),
    ]


def pack(*records: dict[str, Any]) -> bytes:
    """Records as RFC 8428 prints them in JSON, with the labels of its table 4."""
    return cbor2.dumps(
        [{LABELS.get(name, name): value for name, value in record.items()} for record in records]
    )


def seconds(*numbers: float) -> int:
    """Nanoseconds of a sum of times, each taken as the double that it is."""
    return sum(math.floor(n) * NS + round((n - math.floor(n)) * NS) for n in numbers)


def senml() -> list[dict[str, Any]]:
    names, devices = {"senml": "names"}, {"senml": "devices"}
    rfc = "RFC 8428 section {}, in CBOR by " + ENCODER
    base, bt = "urn:dev:ow:10e2073a0108006", 1276020076.001
    current = list(zip((-5, -4, -3, -2, -1), (1.2, 1.3, 1.4, 1.5, 1.6), strict=True))
    dump = bytes.fromhex("".join(RFC_8428_6.split()))
    told = "RFC 8428 section 6, the dump of its figure"
    two = pack(
        {"bn": "urn:dev:ow:10e2073a01080063:", "n": "voltage", "t": 0, "u": "V", "v": 120.1},
        {"n": "current", "t": 0, "u": "A", "v": 1.2},
    )
    humidity = pack(
        {"bn": "urn:dev:ow:10e2073a01080063", "bt": 1320067464, "bu": "%RH", "v": 21.2, "t": 0},
        {"v": 21.3, "t": 10},
    )
    kinds = pack(
        {"bn": "urn:dev:ow:10e2073a01080063:", "n": "temp", "u": "Cel", "v": 23.1},
        {"n": "label", "vs": "Machine Room"},
        {"n": "open", "vb": False},
        {"n": "nfc-reader", "vd": b"hi \n"},
    )
    sums = pack(
        {"bn": "m:", "bv": 100, "bs": 1000, "n": "a", "v": 1},
        {"n": "b", "s": 0.5},
        {"n": "c", "vb": True},
    )
    later = pack({"n": "a", "t": -2.5, "v": 1}, {"n": "b", "v": 2})
    later_vector = vector(
        "times below 2^28 are relative to now, and none is now",
        later,
        rfc.format("4.5.3"),
        names,
        messages=[{"ts": 100 * NS - 2_500_000_000, "values": {"a": 1}}, {"values": {"b": 2}}],
    )
    later_vector["context"]["received_ns"] = 100 * NS
    return [
        vector(
            "the pack of the RFC's dump is resolved",
            dump,
            told,
            names,
            messages=[
                {"ts": seconds(bt), "values": {f"{base}:voltage": 120.1}},
                *({"ts": seconds(bt, t), "values": {f"{base}:current": v}} for t, v in current),
                {"ts": seconds(bt), "values": {f"{base}:current": 1.7}},
            ],
        ),
        vector(
            "a base name can be the device's",
            two,
            rfc.format("5.1.2"),
            devices,
            messages=[
                {
                    "device": "urn:dev:ow:10e2073a01080063",
                    "values": {"voltage": 120.1, "current": 1.2},
                }
            ],
        ),
        vector(
            "records without a name of their own have the base's",
            humidity,
            rfc.format("5.1.3"),
            names,
            messages=[
                {"ts": 1320067464 * NS, "values": {"urn:dev:ow:10e2073a01080063": 21.2}},
                {"ts": 1320067474 * NS, "values": {"urn:dev:ow:10e2073a01080063": 21.3}},
            ],
        ),
        vector(
            "their value is called so, where the base is the device",
            humidity,
            rfc.format("5.1.3"),
            devices,
            messages=[
                {
                    "device": "urn:dev:ow:10e2073a01080063",
                    "ts": 1320067464 * NS,
                    "values": {"value": 21.2},
                },
                {
                    "device": "urn:dev:ow:10e2073a01080063",
                    "ts": 1320067474 * NS,
                    "values": {"value": 21.3},
                },
            ],
        ),
        vector(
            "values of every kind are read",
            kinds,
            rfc.format("5.1.4"),
            devices,
            messages=[
                {
                    "device": "urn:dev:ow:10e2073a01080063",
                    "values": {
                        "temp": 23.1,
                        "label": "Machine Room",
                        "open": False,
                        "nfc-reader": {"$bytes": "6869200a"},
                    },
                }
            ],
        ),
        vector(
            "bases of value and sum are added, and stand alone where a record has none",
            sums,
            rfc.format("4.5.4"),
            names,
            messages=[
                {
                    "values": {
                        "m:a": 101,
                        "m:a.sum": 1000,
                        "m:b": 100,
                        "m:b.sum": 1000.5,
                        "m:c": True,
                        "m:c.sum": 1000,
                    }
                }
            ],
        ),
        later_vector,
        vector(
            "a version to come is refused",
            pack({"bver": 11, "n": "a", "v": 1}),
            rfc.format("4.4"),
            names,
            error="cbor.senml",
        ),
        vector(
            "what must be understood is refused",
            pack({"n": "a", "v": 1, "x_": 2}),
            rfc.format("4.4"),
            names,
            error="cbor.senml",
        ),
        vector(
            "what need not be is passed over",
            pack({"n": "a", "v": 1, "x": [2]}),
            rfc.format("4.4"),
            names,
            messages=[{"values": {"a": 1}}],
        ),
        vector(
            "a record without a value is refused",
            pack({"n": "a"}),
            rfc.format("4.2"),
            names,
            error="cbor.senml",
        ),
        vector(
            "a record with two is refused",
            pack({"n": "a", "v": 1, "vb": True}),
            rfc.format("4.2"),
            names,
            error="cbor.senml",
        ),
        vector(
            "a record without a name is refused",
            pack({"v": 1}),
            rfc.format("4.5.1"),
            names,
            error="cbor.senml",
        ),
        vector(
            "a map is no pack", cbor2.dumps({"n": "a", "v": 1}), ENCODER, names, error="cbor.senml"
        ),
        vector(
            "a pack has no paths",
            two,
            rfc.format("5.1.2"),
            {"senml": "names", "ts": "t"},
            error="settings.invalid",
        ),
    ]


def commands() -> list[dict[str, Any]]:
    """Commands; floats in cbor2's canonical form, which is the preferred one."""
    made = command_vectors(ENCODER, encode)
    params = {"x": [0.5, 0.1, -1.5, 65505.5, 1e300, 2.0**-24, 3.4028234663852886e38]}
    frame = cbor2.dumps({"command": "set", "params": params}, canonical=True)
    # canonical form sorts names by length; these two are in that order already reversed
    head, tail = (
        cbor2.dumps("command") + cbor2.dumps("set"),
        cbor2.dumps("params") + cbor2.dumps(params, canonical=True),
    )
    assert sorted(frame) == sorted(b"\xa2" + head + tail)
    made.append(
        {
            "name": "numbers are as short as they can be without loss",
            "source": ENCODER,
            "function": "encode",
            "input": {"json": {"command": "set", "params": params}},
            "expect": {"frames": [(b"\xa2" + head + tail).hex()]},
        }
    )
    return made


if __name__ == "__main__":
    appendix_a()
    write(HERE / "as_json.json", list(vectors(ENCODER, encode)))
    write(HERE / "types.json", types())
    write(HERE / "senml.json", senml())
    write(HERE / "commands.json", commands())
