"""`python -m benches.peers.footprint`: memory at rest, start, `--help`, wheel, idle connections.

Owns the figures that need no load. Start it from the repository's root.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from benches.peers.servers import (
    Server,
    engine,
    fluxhybrid_environment,
    free_port,
    mosquitto,
    serving,
)
from benches.peers.tools import ROOT, MissingToolError, Tools, find_tools, python

SETTLE_SECONDS: Final = 5.0
HELP_ROUNDS: Final = 10
START_ROUNDS: Final = 5
IDLE_CONNECTIONS: Final = 5_000


@contextlib.contextmanager
def _serve(*flags: str) -> Iterator[Server]:
    """`fluxhybrid serve` over an empty directory."""
    with tempfile.TemporaryDirectory(prefix="flux-bench-") as name:
        directory, port = Path(name), free_port()
        command = [python(), "-m", "fluxhybrid", "serve", *flags]
        with serving(command, fluxhybrid_environment(directory, port), directory, port) as server:
            yield server


def _memory(pid: int) -> dict[str, float]:
    """Resident and proportional memory of a process, MiB."""
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        fields[name] = int(value.split()[0]) / 1_024
    private = fields["Private_Clean"] + fields["Private_Dirty"]
    return {"rss_mib": fields["Rss"], "pss_mib": fields["Pss"], "private_mib": private}


def _at_rest(start: Callable[[], contextlib.AbstractContextManager[Server]]) -> dict[str, Any]:
    seconds, memory = [], {}
    for round_number in range(START_ROUNDS):
        with start() as server:
            seconds.append(server.seconds_to_listen)
            if round_number == 0:
                time.sleep(SETTLE_SECONDS)
                memory = _memory(server.pid)
    return {"seconds_to_listen": statistics.median(seconds), **memory}


def _help() -> float:
    """Milliseconds of `fluxhybrid --help`, the median."""
    times = []
    for _ in range(HELP_ROUNDS):
        begun = time.perf_counter()
        subprocess.run(
            [python(), "-m", "fluxhybrid", "--help"], stdout=subprocess.DEVNULL, check=True
        )
        times.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(times)


def _bare_python() -> float:
    """Milliseconds of an interpreter that does nothing: what no program can be below."""
    times = []
    for _ in range(HELP_ROUNDS):
        begun = time.perf_counter()
        subprocess.run([python(), "-c", "pass"], check=True)
        times.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(times)


def _wheels(directory: Path) -> dict[str, float]:
    return {wheel.name: wheel.stat().st_size / 1e6 for wheel in sorted(directory.glob("*.whl"))}


def _idle(tools: Tools, server: Server, *flags: str) -> dict[str, Any]:
    command = [
        str(tools.flux_load), "--json", "--idle", "--connections", str(IDLE_CONNECTIONS),
        "--subscribers", "0", "--server-pid", str(server.pid), "--port", str(server.port),
        *flags,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def _idle_connections(tools: Tools) -> dict[str, Any]:
    found = {}
    with mosquitto() as server:
        found["mosquitto"] = _idle(tools, server)
    with engine(tools, IDLE_CONNECTIONS, rule_qos=None) as server:
        found["fluxhybrid"] = _idle(tools, server, "--credentials", str(server.credentials))
    return found


def measure(tools: Tools, wheels: Path) -> dict[str, Any]:
    """Measure everything."""
    results: dict[str, Any] = {
        "serve": _at_rest(_serve),
        "serve --headless": _at_rest(lambda: _serve("--headless")),
        "engine without Python": _at_rest(lambda: engine(tools, 0, rule_qos=None)),
        "mosquitto": _at_rest(mosquitto),
        "help_ms": _help(),
        "bare_python_ms": _bare_python(),
        "wheels_mb": _wheels(wheels),
        "idle_connections": _idle_connections(tools),
    }
    return results


def _show(results: dict[str, Any]) -> None:
    aims = {"serve": "<= 90 MiB, < 1.5 s", "serve --headless": "<= 50 MiB"}
    for name in ("serve", "serve --headless", "engine without Python", "mosquitto"):
        figures = results[name]
        print(
            f"{name:24} {figures['rss_mib']:6.1f} MiB resident, {figures['private_mib']:6.1f}"
            f" private, listens after {figures['seconds_to_listen']:.2f} s"
            f"   {aims.get(name, '')}"
        )
    helped, bare = results["help_ms"], results["bare_python_ms"]
    print(f"--help                   {helped:6.1f} ms (an empty Python {bare:.1f})   < 120")
    for name, megabytes in results["wheels_mb"].items():
        print(f"{name}  {megabytes:.1f} MB   < 20")
    if not results["wheels_mb"]:
        print("wheel                    not built: `make wheel`")
    for name, idle in results["idle_connections"].items():
        print(
            f"idle connection          {idle['bytes_per_connection']:6.0f} B of {name},"
            f" {idle['cpu_percent']:.1f} % CPU at {idle['connections']}"
        )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheels", type=Path, default=ROOT / "dist", help="where wheels lie")
    parser.add_argument("--no-build", action="store_true", help="take what was built before")
    parser.add_argument("--out", type=Path, help="write everything to this file, JSON")
    arguments = parser.parse_args()
    try:
        tools = find_tools(build=not arguments.no_build)
        results = measure(tools, arguments.wheels)
    except MissingToolError as error:
        sys.exit(str(error))
    _show(results)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps({"load_average": os.getloadavg(), **results}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
