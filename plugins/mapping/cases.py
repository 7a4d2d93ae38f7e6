"""What the platform's JSON decoder makes of payloads, for formats that must make the same of them.

Each case is a payload, settings, and the messages or the error that come of it. They are those of
the decoder's own tests (``rust/flux-pipeline/src/decode/tests.rs``): a device that changes from
JSON to another format keeps the names of its values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["CASES", "Case", "Members", "command_vectors", "vectors", "write"]

Encode = Callable[[Any], bytes]
NS = 1_000_000_000


@dataclass(frozen=True)
class Members:
    """An object whose names may stand twice: what a dictionary cannot say."""

    members: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Case:
    """A payload, and what comes of it."""

    fact: str
    payload: Any
    messages: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] | None = None
    error: str | None = None


def one(**values: Any) -> list[dict[str, Any]]:
    return [{"values": values}]


def at(ns: int, **values: Any) -> dict[str, Any]:
    return {"ts": ns, "values": values}


PATHS = {"temperature": "data.t", "first": "list[0].v", "second": "list[1].v", "whole": "list"}

CASES = [
    Case(
        "every scalar of a flat object is a value",
        {"t": 21.5, "n": -3, "on": True, "state": "idle", "gone": None},
        one(t=21.5, n=-3, on=True, state="idle"),
    ),
    Case(
        "nested objects are joined by dots and arrays kept",
        {"a": {"b": {"c": 1}, "d": 2}, "e": [1, {"f": None}], "g": {}, "h": 3},
        one(**{"a.b.c": 1, "a.d": 2, "e": [1, {"f": None}], "h": 3}),
    ),
    Case(
        "a name that stands twice has the last value",
        Members((("a", 1), ("b", 2), ("a", 3))),
        one(a=3, b=2),
    ),
    Case("a path and a name can be the same", {"a": {"b": 1}, "a.b": 2}, one(**{"a.b": 2})),
    Case(
        "many names that stand twice have their last values",
        Members(tuple((f"v{index % 40}", index) for index in range(100))),
        one(**{f"v{index % 40}": index for index in range(100)}),
    ),
    Case(
        "whole numbers keep their digits up to those of a signed one",
        {"max": 2**63 - 1, "min": -(2**63), "over": 2**64 - 1, "list": [2**64 - 1]},
        one(max=2**63 - 1, min=-(2**63), over=float(2**64 - 1), list=[2**64 - 1]),
    ),
    Case(
        "the envelope is values and perhaps ts",
        {"ts": 1000, "values": {"t": 1, "n": {"m": 2}, "ts": 5}},
        [at(NS, **{"t": 1, "n.m": 2, "ts": 5})],
    ),
    Case(
        "the order of the envelope's parts does not matter",
        {"values": {"t": 1}, "ts": 1000},
        [at(NS, t=1)],
    ),
    Case("an envelope without a time is received now", {"values": {"t": 1}, "ts": None}, one(t=1)),
    Case(
        "envelopes in an array are several samples",
        [{"ts": 1000, "values": {"t": 1}}, {"ts": 2000, "values": {"t": 2}}],
        [at(NS, t=1), at(2 * NS, t=2)],
    ),
    Case("a name called ts alone makes no envelope", {"ts": 1000, "t": 1}, one(ts=1000, t=1)),
    Case(
        "a third name makes an envelope flat",
        {"ts": 1000, "values": {"t": 1}, "x": 2},
        one(**{"ts": 1000, "values.t": 1, "x": 2}),
    ),
    Case(
        "values that are no object make no envelope",
        {"values": [1], "ts": 1},
        one(values=[1], ts=1),
    ),
    Case(
        "values that stand twice make no envelope",
        Members((("values", {"t": 1}), ("values", {"u": 2}))),
        one(**{"values.t": 1, "values.u": 2}),
    ),
    Case(
        "a time that is an object makes no envelope",
        {"values": {"t": 1}, "ts": {"a": 1}},
        one(**{"values.t": 1, "ts.a": 1}),
    ),
    Case(
        "values further in are no envelope", {"a": {"values": {"t": 1}}}, one(**{"a.values.t": 1})
    ),
    Case(
        "an envelope's time has to be one",
        {"ts": "yesterday", "values": {"t": 1}},
        error="decode.time",
    ),
    Case("an array at the top is several samples", [{"t": 1}, {"t": 2}, {}], one(t=1) + one(t=2)),
    Case("an array of anything else is refused", [{"t": 1}, 2], error="decode.not_an_object"),
    Case("an array in an array is refused", [[]], error="decode.not_an_object"),
    Case("objects of nothing are nothing", [{}, {"a": None}], error="decode.nothing"),
    Case("a number alone is refused", 1, error="decode.not_an_object"),
    Case("text alone is refused", "x", error="decode.not_an_object"),
    Case("null alone is refused", None, error="decode.not_an_object"),
    Case(
        "mapped values are found by their paths",
        {"x": 1, "list": [{"v": 5, "w": 0}, {"v": 6}, 7], "data": {"t": 21.5, "u": 2}},
        one(temperature=21.5, first=5, second=6, whole=[{"v": 5, "w": 0}, {"v": 6}, 7]),
        {"values": PATHS},
    ),
    Case(
        "what is not there, null or of another shape is no value",
        {"data": 3, "list": [1]},
        one(whole=[1]),
        {"values": PATHS},
    ),
    Case(
        "nothing of what is looked for is an error",
        {"data": [1]},
        [],
        {"values": PATHS},
        "decode.nothing",
    ),
    Case(
        "arrays are walked to what is mapped in them",
        {"m": [[9], [{"x": 1}, 2], "s", 4]},
        one(a=1, b="s"),
        {"values": {"a": "m[1][0].x", "b": "m[2]"}},
    ),
    Case(
        "an array at the top is one sample where a path begins with an index",
        [10, {"t": 1}],
        [at(10 * NS, t=1)],
        {"ts": "[0]", "ts_unit": "s", "values": {"t": "[1].t"}},
    ),
    Case(
        "a time can be text by RFC 3339",
        {"at": "1970-01-01T00:00:01Z", "t": 1},
        [at(NS, t=1)],
        {"ts": "at", "ts_unit": "rfc3339", "values": {"t": "t"}},
    ),
    Case(
        "a mapped time leaves other names alone",
        {"meta": {"at": 2, "x": 3}, "ts": 7, "values": {"t": 1}},
        [at(2 * NS, **{"meta.x": 3, "ts": 7, "values.t": 1})],
        {"ts": "meta.at", "ts_unit": "s"},
    ),
    Case(
        "a time of another kind is refused",
        {"at": 12, "t": 1},
        [],
        {"ts": "at", "ts_unit": "rfc3339"},
        "decode.time",
    ),
    Case(
        "a payload names its device",
        [{"dev": "other", "t": 1}, {"dev": 7, "t": 2}, {"t": 3}],
        [
            {"device": "other", "values": {"t": 1}},
            {"device": "7", "values": {"t": 2}},
            {"values": {"t": 3}},
        ],
        {"device": "dev", "values": {"t": "t"}},
    ),
    Case(
        "a device is not named by yes or no",
        {"dev": True, "t": 1},
        [],
        {"device": "dev"},
        "decode.device_name",
    ),
    Case(
        "a device and an envelope go together",
        {"dev": "other", "ts": 1000, "values": {"t": 1}},
        [{"device": "other"} | at(NS, t=1)],
        {"device": "dev"},
    ),
    Case(
        "sixteen objects within one another are read",
        json.loads('{"a":' * 15 + '{"a": 1}' + "}" * 15),
        one(**{".".join("a" * 16): 1}),
    ),
    Case(
        "a seventeenth is not", json.loads('{"a":' * 17 + "1" + "}" * 17), error="decode.too_deep"
    ),
    Case("names have 255 bytes", {"n" * 255: 1}, one(**{"n" * 255: 1})),
    Case("not 256", {"n" * 127: {"n" * 128: 1}}, error="decode.name_too_long"),
    Case(
        "a sample has 1024 values",
        {f"v{i}": i for i in range(1025)},
        error="decode.too_many_values",
    ),
    Case(
        "settings with a path that is none are refused",
        {"t": 1},
        [],
        {"ts": "a..b"},
        "settings.invalid",
    ),
]


def vectors(
    source: str, encode: Encode, shown: Callable[[Case], bool] = lambda _: True
) -> Iterator[dict[str, Any]]:
    """The cases as vectors of a format."""
    for case in filter(shown, CASES):
        context = {} if case.settings is None else {"context": {"settings": case.settings}}
        expect: dict[str, Any] = {} if case.error is None else {"error": case.error}
        if case.messages:
            expect["messages"] = case.messages
        yield {
            "name": case.fact,
            "source": source,
            **context,
            "input": {"hex": encode(case.payload).hex()},
            "expect": expect,
        }


def command_vectors(source: str, encode: Encode) -> list[dict[str, Any]]:
    """Commands, and the frames they become."""
    whole = [0, 23, 24, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1]
    whole += [
        -1,
        -24,
        -25,
        -32,
        -33,
        -128,
        -129,
        -256,
        -257,
        -32768,
        -32769,
        -(2**31),
        -(2**31) - 1,
        -(2**63),
    ]
    params = [
        ("a command is a map", {"percent": 40}),
        ("whole numbers are as short as they can be", {"n": whole}),
        (
            "texts of any length are written",
            {"t": ["", "é" * 12, "x" * 31, "x" * 32, "x" * 255, "x" * 256]},
        ),
        (
            "arrays and objects are written",
            {"a": list(range(16)), "e": [[], {}], "o": {f"k{i:02}": i for i in range(16)}},
        ),
        ("yes, no and nothing are written", {"n": False, "y": True, "z": None}),
    ]
    return [
        {
            "name": fact,
            "source": source,
            "function": "encode",
            "input": {"json": {"command": "set", "params": value}},
            "expect": {"frames": [encode({"command": "set", "params": value}).hex()]},
        }
        for fact, value in params
    ]


def write(file: Path, made: list[dict[str, Any]]) -> None:
    """Writes vectors, one a line."""
    lines = [json.dumps(vector, ensure_ascii=False) for vector in made]
    file.write_text("[\n  " + ",\n  ".join(lines) + "\n]\n", "utf-8")
