"""SQLite as a time-series store: one narrow table, a transaction a second of data.

Write-ahead log with `synchronous=FULL`, so that each second is on disk before the next. Rows go in
through Python's `executemany`, which costs well under a tenth of what SQLite does with them; making
the rows is not timed.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any, Final

from benches.peers.series_lines import (
    BEGIN_NS,
    SECOND_NS,
    VALUES,
    Picker,
    rows,
    seconds_of,
    size_of,
    timed,
)

__all__ = ["sqlite"]

QUESTIONS: Final = 300
TABLE: Final = """\
CREATE TABLE samples (series INTEGER, ts INTEGER, value REAL, PRIMARY KEY (series, ts))
WITHOUT ROWID"""
LAST: Final = "SELECT ts, value FROM samples WHERE series = ? ORDER BY ts DESC LIMIT 1"
RANGE: Final = "SELECT ts, value FROM samples WHERE series = ? AND ts >= ? AND ts < ? ORDER BY ts"
DOWNSAMPLE: Final = """\
SELECT series, ts / 60000000000 AS bucket, min(value), avg(value), max(value) FROM samples
WHERE series IN (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) AND ts >= ? AND ts < ? GROUP BY series, bucket"""


def sqlite(lines: Path, directory: Path, seconds: int) -> dict[str, Any]:
    """Write everything, then ask."""
    connection = sqlite3.connect(directory / "series.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(TABLE)
    took, points = 0.0, 0
    for second in seconds_of(lines):
        samples = rows(second)
        begun = time.perf_counter()
        connection.execute("BEGIN")
        connection.executemany("INSERT OR REPLACE INTO samples VALUES (?, ?, ?)", samples)
        connection.execute("COMMIT")
        took += time.perf_counter() - begun
        points += len(samples)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    result = {
        "points": points,
        "points_per_s": points / took,
        "bytes_per_point": size_of(directory) / points,
        "questions": _ask(connection, BEGIN_NS + seconds * SECOND_NS),
    }
    connection.close()
    return result


def _ask(connection: sqlite3.Connection, end_ns: int) -> dict[str, Any]:
    picker = Picker()

    def series() -> int:
        device, value = picker.one()
        return device * VALUES + value

    def last() -> int:
        return len(connection.execute(LAST, (series(),)).fetchall())

    def five_minutes() -> int:
        found = connection.execute(RANGE, (series(), end_ns - 300 * SECOND_NS, end_ns))
        return len(found.fetchall())

    def downsample() -> int:
        devices, value = picker.ten()
        chosen = [device * VALUES + value for device in devices]
        found = connection.execute(DOWNSAMPLE, (*chosen, end_ns - 3_600 * SECOND_NS, end_ns))
        return len(found.fetchall())

    return {
        "last": timed(QUESTIONS, last),
        "range_5_minutes": timed(QUESTIONS, five_minutes),
        "downsample_10_series": timed(QUESTIONS // 10, downsample),
    }
