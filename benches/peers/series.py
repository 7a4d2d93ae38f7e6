"""`python -m benches.peers.series`: the time-series store beside SQLite and InfluxDB, same data.

Owns the comparison: one plant (10 000 series at 1 Hz, two decimals), written by each side second
by second, each second durable before the next, then asked the same questions. Needs `influxd`
(Debian: influxdb) for that side. Start it from the repository's root, with `FLUX_BENCH_DIR` on the
disk that is to be measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from benches.peers.series_influx import influx
from benches.peers.series_lines import DEVICES, VALUES
from benches.peers.series_sqlite import sqlite
from benches.peers.tools import ROOT, MissingToolError, target

__all__ = ["main"]

# What a device's message takes as JSON: the log beside the store keeps it whole.
MESSAGE_BYTES: Final = 180

Side = Callable[[Path, Path, int], dict[str, Any]]


def _program(build: bool) -> Path:
    if build:
        command = ["cargo", "build", "--release", "--quiet", "-p", "flux-tsdb"]
        subprocess.run([*command, "--example", "series_rate"], cwd=ROOT, check=True)
    program = target() / "release" / "examples" / "series_rate"
    if not program.exists():
        raise MissingToolError(f"{program} is not built; leave --no-build out")
    return program


def _ours(program: Path, *settings: str) -> Side:
    """The store in its own process; the plant is made there again, from the same seed."""

    def run(_lines: Path, directory: Path, seconds: int) -> dict[str, Any]:
        command = [str(program), f"dir={directory}", f"devices={DEVICES}", f"values={VALUES}"]
        command += [f"ticks={seconds}", *settings]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    return run


def _emit(program: Path, lines: Path, seconds: int) -> None:
    command = [str(program), f"devices={DEVICES}", f"values={VALUES}", f"ticks={seconds}"]
    subprocess.run([*command, f"emit={lines}"], check=True)


def _turns(sides: dict[str, Side], rounds: int) -> Iterator[tuple[str, Side]]:
    """A B C, C B A, ... : whoever comes later in a round does not always."""
    for number in range(rounds):
        order = list(sides.items())
        yield from order if number % 2 == 0 else reversed(order)


def _median(results: list[dict[str, Any]], *path: str) -> float:
    def value(result: Any) -> float:
        for name in path:
            result = result[name]
        return float(result)

    return statistics.median(value(result) for result in results)


def _show(results: dict[str, list[dict[str, Any]]]) -> None:
    print(f"{'':28}{'points/s':>12}{'B/point':>9}{'last':>9}{'5 min':>9}{'10 x 1 h':>9}   ms, p50")
    for name, runs in results.items():
        rate, size = _median(runs, "points_per_s"), _median(runs, "bytes_per_point")
        kinds = ("last", "range_5_minutes", "downsample_10_series")
        times = [_median(runs, "questions", kind, "p50_ms") for kind in kinds]
        print(
            f"{name:28}{rate:12,.0f}{size:9.2f}" + "".join(f"{ms:9.4f}" for ms in times), flush=True
        )
        rates = ", ".join(f"{run['points_per_s']:,.0f}" for run in runs)
        print(f"{'':4}runs: {rates} points/s", flush=True)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches.peers.series", description=__doc__)
    parser.add_argument("--seconds", type=int, default=330, help="of data (default 330)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side (default 3)")
    parser.add_argument("--only", help="sides whose name has this in it")
    parser.add_argument("--no-build", action="store_true", help="take what was built before")
    parser.add_argument("--out", type=Path, help="write everything to this file, JSON")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    arguments = _arguments(argv)
    try:
        program = _program(build=not arguments.no_build)
    except MissingToolError as error:
        sys.exit(str(error))
    sides: dict[str, Side] = {
        "fluxhybrid, store": _ours(program),
        "fluxhybrid, log and store": _ours(program, f"log={MESSAGE_BYTES}"),
        "InfluxDB": influx,
        "SQLite": sqlite,
    }
    sides = {name: side for name, side in sides.items() if (arguments.only or "") in name}
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    load_average = os.getloadavg()
    parent = os.environ.get("FLUX_BENCH_DIR")
    with tempfile.TemporaryDirectory(prefix="flux-series-", dir=parent) as name:
        lines = Path(name) / "plant.lines"
        _emit(program, lines, arguments.seconds)
        for side, run in _turns(sides, arguments.rounds):
            with tempfile.TemporaryDirectory(dir=name) as directory:
                try:
                    results[side].append(run(lines, Path(directory), arguments.seconds))
                except MissingToolError as error:
                    print(f"{side}: not measured: {error}", flush=True)
                    continue
            print(f"{side}: {results[side][-1]['points_per_s']:,.0f} points/s", flush=True)
    _show({side: runs for side, runs in results.items() if runs})
    if arguments.out is not None:
        machine = {
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "system": platform.platform(),
            "processors": os.cpu_count(),
            "load_average": load_average,
        }
        arguments.out.write_text(json.dumps({"machine": machine, "results": results}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
