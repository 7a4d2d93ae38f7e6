"""Runs scenarios: both sides in alternation, medians, ratios."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from benches.peers.load import Load, run_load
from benches.peers.scenarios import Options, Scenario, Side

__all__ = ["Outcome", "compare"]

Report = dict[str, Any]

FIGURES: Final = {
    "rate_per_s": "sent_per_s",
    "received_per_s": "received_per_s",
    "ack_p50_ms": "ack.p50_ms",
    "ack_p99_ms": "ack.p99_ms",
    "p50_ms": "end_to_end.p50_ms",
    "p99_ms": "end_to_end.p99_ms",
    "cpu_us": "server_cpu_us_per_message",
    "cores": "server_cpu_cores",
    "generator_us": "own_cpu_us_per_message",
    "rss_max_mib": "server_rss_max_bytes",
    "lost": "lost",
}
"""Name of each figure, and where the generator's report has it."""


@dataclass
class Outcome:
    """What a scenario came to."""

    scenario: Scenario
    saturated: dict[str, list[Report]] = field(default_factory=dict)
    half: dict[str, list[Report]] = field(default_factory=dict)
    half_rate: float = 0.0
    searched: dict[str, Report] = field(default_factory=dict)
    load_average: float = 0.0

    def median(self, runs: dict[str, list[Report]], side: Side, figure: str) -> float:
        """The median over the rounds of one side."""
        values = [_figure(report, figure) for report in runs.get(side.name, [])]
        return statistics.median(values) if values else 0.0

    def ratio(self, figure: str) -> float:
        """A's median over B's, saturated."""
        b = self.median(self.saturated, self.scenario.b, figure)
        return self.median(self.saturated, self.scenario.a, figure) / b if b else 0.0

    def to_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        scenario = self.scenario
        return {
            "scenario": scenario.name,
            "claim": scenario.claim,
            "load": {name: value for name, value in vars(scenario.load).items() if name != "more"},
            "load_average": self.load_average,
            "a": scenario.a.name,
            "b": scenario.b.name,
            "ratio": {name: self.ratio(name) for name in FIGURES},
            "saturated": self.saturated,
            "half_rate": self.half_rate,
            "half": self.half,
            "searched": self.searched,
        }


def _figure(report: Report, name: str) -> float:
    if name == "generator_cores":
        return float(report["own_cpu_us_per_message"] * report["sent_per_s"] / 1e6)
    value: Any = report
    for key in FIGURES[name].split("."):
        value = value[key]
    number = float(value or 0.0)
    return number / (1 << 20) if name == "rss_max_mib" else number


def _alternate(
    options: Options, sides: Iterable[Side], load: Load, runs: dict[str, list[Report]]
) -> None:
    sides = list(sides)
    for round_number in range(options.rounds):
        # who begins changes: whatever drifts does not always hit the same side
        order = sides if round_number % 2 == 0 else sides[::-1]
        for side in order:
            # a server of its own for each run: nothing grown in one round helps or hinders the next
            with side.start(options, load) as server:
                runs.setdefault(side.name, []).append(
                    run_load(options.tools.flux_load, load, server)
                )


def compare(options: Options, scenario: Scenario) -> Outcome:
    """Run one scenario."""
    outcome = Outcome(scenario, load_average=os.getloadavg()[0])
    outstanding = options.outstanding or scenario.load.outstanding
    load = replace(scenario.load, seconds=options.seconds, outstanding=outstanding)
    sides = (scenario.a, scenario.b)
    _alternate(options, sides, load, outcome.saturated)
    if scenario.half_load:
        slower = min(outcome.median(outcome.saturated, side, "rate_per_s") for side in sides)
        outcome.half_rate = slower / 2
        if outcome.half_rate > 0:
            half = replace(load, rate=outcome.half_rate, outstanding=None)
            _alternate(options, sides, half, outcome.half)
    if options.search and scenario.load.qos == 0 and scenario.load.rate == 0:
        _search(options, sides, load, outcome)
    return outcome


def _search(options: Options, sides: Iterable[Side], load: Load, outcome: Outcome) -> None:
    """The highest rate that loses nothing with an open loop, from half of the closed one's on."""
    for side in sides:
        begin = max(outcome.median(outcome.saturated, side, "rate_per_s") / 2, 1_000)
        more = ("--search", "--search-from", f"{begin:.0f}")
        searched = replace(load, outstanding=None, more=more)
        with side.start(options, load) as server:
            outcome.searched[side.name] = run_load(options.tools.flux_load, searched, server)
