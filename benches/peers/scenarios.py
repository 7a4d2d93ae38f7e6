"""What is measured beside a peer: names, loads, and which two servers are compared.

A scenario is two *sides* under the same load, run in alternation (A, B, A, B, …). What counts is
the ratio of the medians: on a shared machine both sides suffer alike, and absolute figures do not
travel.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benches.peers.load import Load
from benches.peers.servers import Server, engine, headless, mosquitto
from benches.peers.tools import Tools

__all__ = ["SCENARIOS", "Options", "Scenario", "Side"]

Opening = contextlib.AbstractContextManager[Server]


@dataclass(frozen=True)
class Options:
    """What holds for every scenario of a run."""

    tools: Tools
    with_python: bool
    """`fluxhybrid serve --headless`; otherwise the data plane without Python."""
    seconds: float
    rounds: int
    search: bool
    outstanding: int | None
    """Deliveries that may be under way, in place of the scenario's own."""


@dataclass(frozen=True)
class Side:
    """One of the two that are compared."""

    name: str
    start: Callable[[Options, Load], Opening]


@dataclass(frozen=True)
class Scenario:
    """Two sides under one load."""

    name: str
    claim: str
    load: Load
    a: Side
    b: Side
    half_load: bool = True
    """Measure both at half of the slower one's rate too: latencies that are not those of a queue
    the generator filled itself, and CPU for the same work."""


def _rule_qos(load: Load) -> int | None:
    return load.qos if load.rule else None


def _ours(*, slow_disk: bool = False) -> Callable[[Options, Load], Opening]:
    def start(options: Options, load: Load) -> Opening:
        opening = headless if options.with_python else engine
        return opening(
            options.tools, load.publishers, rule_qos=_rule_qos(load), slow_disk=slow_disk
        )

    return start


OURS: Final = Side("fluxhybrid", _ours())
MOSQUITTO: Final = Side("mosquitto", lambda _options, _load: mosquitto())
SLOW: Final = Side("fluxhybrid, fdatasync +20 ms", _ours(slow_disk=True))


def _load(qos: int, publishers: int, window: int = 20, *, rule: bool) -> Load:
    # The loop is closed at both ends: by acknowledgements, and by what has come out again. A rate
    # at which messages only pile up inside the server is none.
    under_way = max(2 * window * publishers, 2_000) if qos else max(2_000, 2 * publishers)
    # A subscriber's queue holds a million on either side: more under way would end its connection.
    under_way = min(under_way, 800_000)
    return Load(publishers, qos, window, rule=rule, outstanding=under_way)


def _beside_mosquitto() -> list[Scenario]:
    scenarios = []
    for kind, rule in (("rule", True), ("forward", False)):
        for publishers in (4, 1_000):
            claim = ">= 60 000/s without loss" if rule else ">= 0.8 of Mosquitto, logged"
            load = _load(0, publishers, rule=rule)
            name = f"{kind}-qos0-{publishers}"
            scenarios.append(Scenario(name, claim, load, OURS, MOSQUITTO))
            for window in (20, 1_000):
                load = _load(1, publishers, window, rule=rule)
                name = f"{kind}-qos1-w{window}-{publishers}"
                claim = "durable >= 0.7 of Mosquitto, which is not durable"
                scenarios.append(Scenario(name, claim, load, OURS, MOSQUITTO))
    return scenarios


SCENARIOS: Final[dict[str, Scenario]] = {
    scenario.name: scenario
    for scenario in [
        *_beside_mosquitto(),
        *(
            Scenario(
                f"slow-disk-{kind}-qos1-w20-1000", ">= 0.7 of the rate, memory bounded",
                _load(1, 1_000, 20, rule=rule), SLOW, OURS, half_load=False,
            )
            for kind, rule in (("rule", True), ("forward", False))
        ),
    ]
}  # fmt: skip
