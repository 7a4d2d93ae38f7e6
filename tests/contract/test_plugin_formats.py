"""``plugin.toml`` and vectors: what is wrong is told; comparisons are those of the SDK."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fluxhybrid.errors import Invalid, NotFound
from fluxhybrid.plugins import wire
from fluxhybrid.plugins.outcome import Outcome, differences
from fluxhybrid.plugins.project import read_project
from fluxhybrid.plugins.vectors import Expected, read_all, read_vectors

ROOT = Path(__file__).resolve().parents[2]
COMPARISONS = ROOT / "plugins" / "sdk" / "src" / "testing" / "comparisons.json"


def project(directory: Path, text: str) -> Path:
    (directory / "plugin.toml").write_text(text, "utf-8")
    return directory


def test_project_needs_little(tmp_path: Path) -> None:
    found = read_project(project(tmp_path, 'id = "meter_2"'))
    assert (found.id, found.title, found.language) == ("meter_2", "meter_2", "rust")


def test_directory_without_a_manifest_is_no_plugin(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"there is no plugin\.toml") as raised:
        read_project(tmp_path)
    assert "fluxhybrid plugin new" in str(raised.value.hint)


def test_everything_wrong_with_a_manifest_is_told_at_once(tmp_path: Path) -> None:
    text = 'id = "Meter"\nlanguage = "zig"\nname = "x"\ntitle = 3\nsources = "a.c"\nmode = "x"\n'
    with pytest.raises(Invalid) as raised:
        read_project(project(tmp_path, text))
    pointers = [problem.pointer for problem in raised.value.problems]
    assert sorted(map(str, pointers)) == [
        "/id",
        "/language",
        "/mode",
        "/name",
        "/sources",
        "/title",
    ]


@pytest.mark.parametrize("text", ["id = ", "\udcff"])
def test_manifest_that_is_no_toml_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "plugin.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(Invalid) as raised:
        read_project(tmp_path)
    assert raised.value.code == "plugin.project"


@pytest.mark.parametrize(
    ("vector", "pointer"),
    [
        ({"name": "a", "input": {"hex": ""}}, "/0/source"),
        ({"name": "a", "source": "s", "input": {}}, "/0/input"),
        ({"name": "a", "source": "s", "input": {"hex": "0", "text": ""}}, "/0/input/hex"),
        ({"name": "a", "source": "s", "input": {"hex": "", "text": ""}}, "/0/input"),
        ({"name": "a", "source": "s", "input": {"hex": ""}, "expects": {}}, "/0/expects"),
        ({"name": "a", "source": "s", "input": {"hex": ""}, "function": "run"}, "/0/function"),
        (
            {"name": "a", "source": "s", "input": {"hex": ""}, "expect": {"state": "0x"}},
            "/0/expect/state",
        ),
        (
            {"name": "a", "source": "s", "input": {"hex": ""}, "context": {"settings": []}},
            "/0/context/settings",
        ),
    ],
)
def test_wrong_vector_is_told_with_its_place(
    tmp_path: Path, vector: dict[str, Any], pointer: str
) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps([vector]), "utf-8")
    with pytest.raises(Invalid) as raised:
        read_vectors(file)
    assert pointer in [problem.pointer for problem in raised.value.problems]
    assert all(problem.source == str(file) for problem in raised.value.problems)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '"\xff"'])
def test_file_that_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(Invalid) as raised:
        read_vectors(file)
    assert raised.value.code == "plugin.vectors"


def test_two_vectors_of_one_name_are_refused(tmp_path: Path) -> None:
    vector = {"name": "a", "source": "s", "input": {"hex": "00"}}
    files = [tmp_path / "1.json", tmp_path / "2.json"]
    for file in files:
        file.write_text(json.dumps([vector]), "utf-8")
    with pytest.raises(Invalid, match='two vectors are called "a"'):
        read_all(files)


def outcome(content: dict[str, Any]) -> Outcome:
    """An outcome as the host gives it, of how it is written in the comparisons."""
    failure = content.get("error") or {}
    return Outcome(
        messages=[
            {**message, "values": {k: value(v) for k, v in message["values"].items()}}
            for message in content.get("messages", [])
        ],
        frames=[bytes.fromhex(frame) for frame in content.get("frames", [])],
        effects=content.get("effects", []),
        state=None if "state" not in content else bytes.fromhex(content["state"]),
        error=failure.get("code"),
    )


def value(written: Any) -> Any:
    if isinstance(written, dict) and "$bytes" in written:
        return bytes.fromhex(written["$bytes"])
    return written


@pytest.mark.parametrize(
    "case", json.loads(COMPARISONS.read_bytes()), ids=lambda case: case["fact"]
)
def test_comparison_comes_out_as_written(case: dict[str, Any]) -> None:
    found = differences(Expected.model_validate(case["expect"]), outcome(case["outcome"]))
    assert (found == []) == case["same"], found


def test_differences_of_a_batch_name_the_input() -> None:
    expected = Expected.model_validate({"items": [{}, {"error": "a.b"}]})
    assert differences(expected, Outcome(items=[Outcome(), Outcome()])) == [
        "items/1: error: expected a.b, got None"
    ]
    assert differences(expected, Outcome(items=[Outcome()])) == ["items: expected 2, got 1"]


def test_message_is_written_as_the_abi_lays_it_out() -> None:
    written = wire.message(
        {
            "device": "d",
            "ts": 5,
            "tags": {"t": "x"},
            "values": {"b": True, "i": -1, "f": 0.5, "s": "é", "r": {"$bytes": "ff"}},
        }
    )
    assert written == (
        b"\x01d" + (5).to_bytes(8, "little") + b"\x01\x00\x01t\x01\x00x" + b"\x05\x00"
        b"\x01b\x01"
        b"\x01i\x02" + b"\xff" * 8 + b"\x01f\x03\x00\x00\x00\x00\x00\x00\xe0\x3f"
        b"\x01s\x04\x02\x00\x00\x00\xc3\xa9"
        b"\x01r\x05\x01\x00\x00\x00\xff"
    )


def test_batch_reads_as_it_was_written() -> None:
    inputs = [b"", b"a", b"bc" * 1000]
    assert wire.inputs_of(wire.batch(inputs)) == inputs
