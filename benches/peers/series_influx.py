"""InfluxDB 1.x: a process of its own on loopback ports, line protocol over one kept connection.

Each second of data is one request of a line a device (all its values as fields, which suits it
best); it answers once its log is synced. Before its bytes are counted it may write its cache and
merge its files, which it is told to do soon.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benches.peers.series_lines import (
    BEGIN_NS,
    DEVICES,
    SECOND_NS,
    VALUES,
    Picker,
    seconds_of,
    size_of,
    timed,
)
from benches.peers.servers import await_port, end_process, free_port
from benches.peers.tools import need

__all__ = ["influx"]

QUESTIONS: Final = 300
SETTLE_SECONDS: Final = 90.0
QUIET_SECONDS: Final = 10.0


@contextlib.contextmanager
def _influxd(directory: Path) -> Iterator[http.client.HTTPConnection]:
    program = need("influxd", "influxdb")
    port, config = free_port(), directory / "influxdb.conf"
    config.write_text("")
    settings = {
        "REPORTING_DISABLED": "true",
        "BIND_ADDRESS": f"127.0.0.1:{free_port()}",
        "META_DIR": str(directory / "meta"),
        "DATA_DIR": str(directory / "data"),
        "DATA_WAL_DIR": str(directory / "wal"),
        "DATA_QUERY_LOG_ENABLED": "false",
        "DATA_CACHE_SNAPSHOT_WRITE_COLD_DURATION": "2s",
        "DATA_COMPACT_FULL_WRITE_COLD_DURATION": "4s",
        "MONITOR_STORE_ENABLED": "false",
        "HTTP_BIND_ADDRESS": f"127.0.0.1:{port}",
        "HTTP_LOG_ENABLED": "false",
    }
    environment = dict(os.environ)
    environment |= {f"INFLUXDB_{name}": value for name, value in settings.items()}
    log = directory / "log.txt"
    with log.open("wb") as output:
        command = [program, "run", "-config", str(config)]
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        try:
            await_port(port, process, log)
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            yield connection
            connection.close()
        finally:
            end_process(process)


def _post(connection: http.client.HTTPConnection, path: str, body: bytes) -> bytes:
    connection.request("POST", path, body)
    response = connection.getresponse()
    answer = response.read()
    if response.status >= 300:
        raise RuntimeError(f"influxd answers {response.status}: {answer.decode()[:500]}")
    return answer


def _query(connection: http.client.HTTPConnection, query: str) -> int:
    """Ask; how many rows came."""
    parameters = urllib.parse.urlencode({"db": "bench", "epoch": "ns", "q": query})
    answer = json.loads(_post(connection, f"/query?{parameters}", b""))
    (result,) = answer["results"]
    if "error" in result:
        raise RuntimeError(f"influxd answers {result['error']}")
    return sum(len(series["values"]) for series in result.get("series", []))


def influx(lines: Path, directory: Path, seconds: int) -> dict[str, Any]:
    """Write everything, let it settle, then ask."""
    with _influxd(directory) as connection:
        _query(connection, "CREATE DATABASE bench")
        took, points = 0.0, 0
        for second in seconds_of(lines):
            begun = time.perf_counter()
            _post(connection, "/write?db=bench&precision=ns", second)
            took += time.perf_counter() - begun
            points += DEVICES * VALUES
        size = _settled(directory)
        questions = _ask(connection, BEGIN_NS + seconds * SECOND_NS)
    return {
        "points": points,
        "points_per_s": points / took,
        "bytes_per_point": size / points,
        "questions": questions,
    }


def _settled(directory: Path) -> int:
    """Bytes of data and log once they have not changed for a while."""
    size, since, begun = -1, time.monotonic(), time.monotonic()
    while time.monotonic() - begun < SETTLE_SECONDS:
        time.sleep(0.5)
        now = size_of(directory / "data") + size_of(directory / "wal")
        if now != size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > QUIET_SECONDS:
            break
    return size


def _ask(connection: http.client.HTTPConnection, end_ns: int) -> dict[str, Any]:
    picker = Picker()
    recent = f"time >= {end_ns - 300 * SECOND_NS} AND time < {end_ns}"
    hour = f"time >= {end_ns - 3_600 * SECOND_NS} AND time < {end_ns}"

    def last() -> int:
        device, value = picker.one()
        return _query(connection, f"SELECT LAST(v{value}) FROM plant WHERE device = 'd{device}'")

    def five_minutes() -> int:
        device, value = picker.one()
        which = f"device = 'd{device}' AND {recent}"
        return _query(connection, f"SELECT v{value} FROM plant WHERE {which}")

    def downsample() -> int:
        devices, value = picker.ten()
        which = "|".join(f"d{device}" for device in devices)
        return _query(
            connection,
            f"SELECT MIN(v{value}), MEAN(v{value}), MAX(v{value}) FROM plant "
            f"WHERE device =~ /^({which})$/ AND {hour} GROUP BY time(60s), device fill(none)",
        )

    return {
        "last": timed(QUESTIONS, last),
        "range_5_minutes": timed(QUESTIONS, five_minutes),
        "downsample_10_series": timed(QUESTIONS // 10, downsample),
    }
