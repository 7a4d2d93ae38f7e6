"""Vectors, hostile input and timing, against a host in Python that has all a plugin's faults."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fluxhybrid.errors import Invalid
from fluxhybrid.plugins import fuzzing
from fluxhybrid.plugins.fuzzing import fuzz, mutated
from fluxhybrid.plugins.scaffold import new_project
from fluxhybrid.plugins.timing import measure
from fluxhybrid.plugins.trial import Call, calls_of, try_vectors
from fluxhybrid.plugins.vectors import Vector, read_vectors
from tests.contract.plugin_host_double import Answer, HostDouble

FRAME = bytes.fromhex("0100d75b0033")


@pytest.fixture
def vectors(tmp_path: Path) -> list[Vector]:
    return read_vectors(new_project("room", "c", tmp_path) / "vectors" / "frames.json")


def vector(**fields: Any) -> Vector:
    return Vector.model_validate({"name": "a", "source": "s", "input": {"hex": ""}, **fields})


def test_template_s_vectors_hold(vectors: list[Vector]) -> None:
    results = list(try_vectors(HostDouble(), "room", vectors))
    assert [result.differences for result in results] == [[]] * 5


def test_failed_call_is_a_difference(vectors: list[Vector]) -> None:
    class Trapping(HostDouble):
        def decode(self, frame: bytes, context: Mapping[str, Any]) -> Answer:
            raise Invalid("plugin.trap", "decode trapped: unreachable")

    result = next(iter(try_vectors(Trapping(), "room", vectors)))
    assert not result.ok
    assert any("plugin.trap decode trapped: unreachable" in text for text in result.differences)


def test_state_is_handed_from_vector_to_vector() -> None:
    class Counting(HostDouble):
        def decode(self, frame: bytes, context: Mapping[str, Any]) -> Answer:
            return {"state": bytes([*context.get("state", b""), len(frame)])}

    story = [
        vector(name="first", input={"text": "a"}, expect={"state": "01"}),
        vector(
            name="second",
            input={"text": "bb"},
            context={"state_of": "first"},
            expect={"state": "0102"},
        ),
        vector(name="apart", input={"text": "ccc"}, expect={"state": "*"}),
    ]
    host = Counting()
    assert [result.differences for result in try_vectors(host, "room", story)] == [[]] * 3
    assert [call.context.get("state") for call in calls_of(host, "room", story)] == [
        None,
        b"\x01",
        None,
    ]


def test_context_tells_only_what_a_vector_says() -> None:
    host = HostDouble()
    told = {"topic": "t", "settings": {}, "request": "01 02"}
    list(try_vectors(host, "room", [vector(context=told)]))
    assert host.calls[0][2] == {"topic": "t", "settings": {}, "request": b"\x01\x02"}


def test_changed_calls_are_the_same_for_the_same_seed() -> None:
    pool = [Call("decode", FRAME, {"state": b"abc"}), Call("decode", b"", {"topic": "x"})]
    first, again = random.Random(7), random.Random(7)
    for _ in range(2_000):
        call = mutated(first, pool[0], pool)
        assert call == mutated(again, pool[0], pool)
        assert len(call.input) <= 64 * 1024


def test_changed_calls_are_of_many_kinds() -> None:
    rng, pool = random.Random(1), [Call("decode", FRAME, {})]
    inputs = {mutated(rng, pool[0], pool).input for _ in range(500)}
    assert len(inputs) > 300
    assert b"" in inputs
    assert max(map(len, inputs)) > 1_000


def test_errors_of_the_plugin_s_own_are_no_findings(vectors: list[Vector]) -> None:
    host = HostDouble()
    report = fuzz(host, "room", calls_of(host, "room", vectors), seconds=0.3, seed=1)
    assert report.findings == []
    assert report.calls > 100
    assert report.refused > 0
    assert report.decoded > 0
    assert "decode_batch" in {function for function, _, _ in host.calls}


class Weak(HostDouble):
    """Fails on frames that begin with 0xff, in the way of its batch's first byte or another."""

    def decode(self, frame: bytes, context: Mapping[str, Any]) -> Answer:
        if frame[:1] == b"\xff":
            raise Invalid("plugin.trap", "decode trapped: unreachable")
        if frame[:1] == b"\xfe":
            raise RuntimeError("the host is at fault")
        return super().decode(frame, context)


def test_traps_and_host_errors_are_found_once_each_and_kept_as_vectors(tmp_path: Path) -> None:
    report = fuzz(Weak(), "room", [Call("decode", FRAME, {"request": b"\x01"})], seconds=1, seed=1)
    assert {finding.code for finding in report.findings} == {"plugin.trap", "plugin.host"}
    assert len(report.findings) == 2
    file = tmp_path / "found.json"
    file.write_text(json.dumps([finding.as_vector() for finding in report.findings]), "utf-8")
    results = list(try_vectors(Weak(), "room", read_vectors(file)[:1]))
    assert not results[0].ok


def test_finding_in_a_batch_is_kept_as_its_inputs() -> None:
    finding = fuzzing.Finding(
        "plugin.trap", "x", Call("decode_batch", b"\x01\0\0\0\x01\0\0\0\xff", {})
    )
    assert finding.as_vector()["input"] == {"batch": [{"hex": "ff"}]}


def test_growing_memory_is_a_leak() -> None:
    kept: list[bytes] = []

    class Leaking(HostDouble):
        def decode(self, frame: bytes, context: Mapping[str, Any]) -> Answer:
            kept.append(bytes(64 * 1024))
            return {}

    report = fuzz(Leaking(), "room", [Call("decode", FRAME, {})], seconds=1, seed=1)
    kept.clear()
    assert report.leaks


def test_call_is_timed_alone_and_in_batches() -> None:
    timing = measure(HostDouble(), "room", Call("decode", FRAME, {}), seconds=0.2)
    assert timing.single_ns > 0
    assert timing.batched_ns is not None
    without = measure(HostDouble(takes_batches=False), "room", Call("decode", FRAME, {}), 0.1)
    assert without.batched_ns is None
