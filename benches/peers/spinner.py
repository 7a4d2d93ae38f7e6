"""`python -m benches.peers.spinner`: what a Python thread that spins costs the data plane.

A server of its own for each side would not do: starts differ by more than the 5 % looked for. So
one server runs under one load, and a spinner is switched every few seconds from a thread inside
the server's interpreter to an interpreter beside it and back. What is compared are neighbours in
time, on the same server, with the same threads wanting the same two processors.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from benches.peers.load import Load, run_load
from benches.peers.servers import headless
from benches.peers.tools import MissingToolError, find_tools, python

# A line on the standard input switches the thread: "1" on, "0" off. Waiting costs nothing.
SPINNER: Final = """\
import sys, threading
on = threading.Event()
def spin():
    while True:
        on.wait()
        while on.is_set():
            pass
def switch():
    for line in sys.stdin:
        on.set() if line.startswith("1") else on.clear()
for work in (spin, switch):
    threading.Thread(target=work, daemon=True).start()
"""
BESIDE: Final = SPINNER + "threading.Event().wait()\n"
INSIDE: Final = SPINNER + "from fluxhybrid.cli import main\nmain(sys.argv[1:])\n"

LOAD: Final = Load(4, 1, 20, rule=True, outstanding=2_000)
PHASE_SECONDS: Final = 3.5
DRAWS: Final = 10_000


@dataclass(frozen=True)
class Phase:
    """A stretch of time with the spinner in one place."""

    inside: bool
    begun: float
    """Seconds since 1970."""
    ended: float


class Switch:
    """Moves the spinner while the load runs, and notes when."""

    def __init__(self, inside: IO[bytes], beside: IO[bytes]) -> None:
        self.phases: list[Phase] = []
        self._inputs = {True: inside, False: beside}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Switch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._stopping.is_set():
            # in, out, out, in: what drifts hits both alike
            inside = number % 4 in (0, 3)
            number += 1
            self._say(inside, b"1\n")
            begun = time.time()
            self._stopping.wait(PHASE_SECONDS)
            self.phases.append(Phase(inside, begun, time.time()))
            self._say(inside, b"0\n")

    def _say(self, inside: bool, word: bytes) -> None:
        stream = self._inputs[inside]
        stream.write(word)
        stream.flush()


@contextmanager
def _spinner_beside() -> Iterator[IO[bytes]]:
    with subprocess.Popen([python(), "-c", BESIDE], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        try:
            yield process.stdin
        finally:
            process.kill()


def _rates(report: dict[str, Any], phases: Sequence[Phase]) -> list[tuple[bool, float]]:
    """For each phase with whole seconds inside it: where the spinner was, and their mean rate."""
    rates = []
    seconds = [(report["begun_unix_s"] + s["at_s"], s["sent_per_s"]) for s in report["by_second"]]
    for phase in phases:
        whole = [rate for end, rate in seconds if phase.begun <= end - 1 and end <= phase.ended]
        if whole:
            rates.append((phase.inside, statistics.fmean(whole)))
    return rates


def _ratios(rates: Sequence[tuple[bool, float]]) -> list[float]:
    """Inside over beside, of neighbours."""
    ratios = []
    for (inside, rate), (next_inside, next_rate) in itertools.pairwise(rates):
        if inside != next_inside:
            ratios.append(rate / next_rate if inside else next_rate / rate)
    return ratios


def _interval(ratios: Sequence[float]) -> tuple[float, float]:
    """95 % of the medians of samples drawn from the ratios (percentile bootstrap)."""
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(DRAWS))
    return medians[int(0.025 * DRAWS)], medians[int(0.975 * DRAWS)]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=240.0, help="measured in all")
    parser.add_argument("--rate", type=float, default=0.0, help="messages a second; 0: saturated")
    parser.add_argument("--no-build", action="store_true", help="take what was built before")
    parser.add_argument("--out", type=Path, help="write everything to this file, JSON")
    arguments = parser.parse_args()
    try:
        tools = find_tools(build=not arguments.no_build)
    except MissingToolError as error:
        sys.exit(str(error))
    load = Load(
        **{**vars(LOAD), "seconds": arguments.seconds, "rate": arguments.rate,
           "outstanding": None if arguments.rate else LOAD.outstanding}
    )  # fmt: skip
    load_average = os.getloadavg()[0]
    with ExitStack() as stack:
        server = stack.enter_context(headless(tools, load.publishers, rule_qos=1, program=INSIDE))
        beside = stack.enter_context(_spinner_beside())
        assert server.stdin is not None
        switch = stack.enter_context(Switch(server.stdin, beside))
        report = run_load(tools.flux_load, load, server)
    rates = _rates(report, switch.phases)
    ratios = _ratios(rates)
    low, high = _interval(ratios)
    medians = [
        statistics.median(r for place, r in rates if place is where) for where in (True, False)
    ]
    print(
        f"spinner inside {medians[0]:.0f}/s, beside {medians[1]:.0f}/s; inside/beside"
        f" {statistics.median(ratios):.3f} (95 %: {low:.3f} to {high:.3f}) of {len(ratios)} pairs;"
        f" lost {report['lost']}; load average {load_average:.1f}   aim: >= 0.95"
    )
    if arguments.out is not None:
        everything = {"rates": rates, "ratios": ratios, "interval": [low, high], "report": report}
        arguments.out.write_text(json.dumps(everything, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
