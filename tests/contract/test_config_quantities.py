"""Durations and sizes are read exactly, and what is written reads back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxhybrid.config.quantities import (
    format_bytes,
    format_duration,
    parse_bytes,
    parse_duration,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", timedelta(seconds=30)),
        ("5ms", timedelta(milliseconds=5)),
        ("250us", timedelta(microseconds=250)),
        ("1.5h", timedelta(minutes=90)),
        ("1h30m", timedelta(minutes=90)),
        ("7d", timedelta(days=7)),
        ("0s", timedelta(0)),
        ("0.000001s", timedelta(microseconds=1)),
    ],
)
def test_duration_is_read(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "5", "s", "-5s", "5 s", "5sec", "1e3s", "0.0000001s", "٣s", "9" * 70 + "s"],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is "):
        parse_duration(text)


@pytest.mark.parametrize("text", ["30m1h", "1s1s"])
def test_units_of_a_duration_go_from_large_to_small(text: str) -> None:
    with pytest.raises(ValueError, match="out of order"):
        parse_duration(text)


def test_duration_beyond_what_python_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        parse_duration("999999999d999999999h")


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=36_500)))
def test_written_duration_reads_back(value: timedelta) -> None:
    assert parse_duration(format_duration(value)) == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("64MiB", 64 * 2**20),
        ("64 MiB", 64 * 2**20),
        ("1.5GB", 1_500_000_000),
        ("512B", 512),
        ("0B", 0),
        ("1kB", 1000),
        ("1KiB", 1024),
    ],
)
def test_size_is_read(text: str, expected: int) -> None:
    assert parse_bytes(text) == expected


@pytest.mark.parametrize(
    "text", ["", "64", "64mib", "-1B", "1.5B", "MiB", "1e3B", "٣B", "9" * 20 + "B"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        parse_bytes(text)


@given(st.integers(min_value=0, max_value=2**53))
def test_written_size_reads_back(value: int) -> None:
    text = format_bytes(value)
    assert parse_bytes(text) == value
