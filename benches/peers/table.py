"""Outcomes as a table for people."""

from __future__ import annotations

from benches.peers.compare import Outcome, Report
from benches.peers.scenarios import Side

__all__ = ["lines"]

# A server that had less than this of a processor, under a generator that had less too, was not
# the limit: others on the machine were, or waiting.
_WHOLE_PROCESSOR = 0.9

_HEAD = (
    f"{'':28} {'sent/s':>8} {'lost':>6}  {'ack p50':>8} {'p99 ms':>8}  {'thru p50':>8}"
    f" {'p99 ms':>8}  {'CPU us':>6} {'procs':>5} {'load':>5} {'MiB':>6}"
)


def _row(outcome: Outcome, runs: dict[str, list[Report]], side: Side) -> str:
    def median(name: str) -> float:
        return outcome.median(runs, side, name)

    return (
        f"{side.name:28} {median('rate_per_s'):8.0f} {median('lost'):6.0f}"
        f"  {median('ack_p50_ms'):8.2f} {median('ack_p99_ms'):8.2f}"
        f"  {median('p50_ms'):8.2f} {median('p99_ms'):8.2f}"
        f"  {median('cpu_us'):6.2f} {median('cores'):5.2f} {median('generator_cores'):5.2f}"
        f" {median('rss_max_mib'):6.1f}"
    )


def lines(outcome: Outcome) -> list[str]:
    """The lines of one scenario."""
    scenario = outcome.scenario
    sides = (scenario.a, scenario.b)
    head = f"== {scenario.name} (aim: {scenario.claim}; load average {outcome.load_average:.1f})"
    out = [head, _HEAD]
    out += [_row(outcome, outcome.saturated, side) for side in sides]
    for side in sides:
        lost = outcome.median(outcome.saturated, side, "lost")
        if lost:
            out.append(f"   ! {side.name} lost {lost:.0f} messages: that is no rate it can keep")
        busiest = max(
            outcome.median(outcome.saturated, side, figure)
            for figure in ("cores", "generator_cores")
        )
        if scenario.load.rate == 0 and busiest < _WHOLE_PROCESSOR:
            out.append(
                f"   ! {side.name}: nobody had a whole processor ({busiest:.2f} at most); the rate"
                " is the machine's or the window's, not the server's, and so is the ratio"
            )
    ratios = (
        f"   a/b: rate {outcome.ratio('rate_per_s'):.2f}, p99 {outcome.ratio('p99_ms'):.2f},"
        f" CPU {outcome.ratio('cpu_us'):.2f}, memory {outcome.ratio('rss_max_mib'):.2f}"
    )
    out.append(ratios)
    if outcome.half:
        out.append(f"   both at {outcome.half_rate:.0f}/s:")
        out += [_row(outcome, outcome.half, side) for side in sides]
    for name, found in outcome.searched.items():
        best = found["best"]["end_to_end"]
        out.append(
            f"   open loop, highest rate without loss: {name} {found['rate']:.0f}/s,"
            f" p50 {best['p50_ms']:.2f}, p99 {best['p99_ms']:.2f} ms"
        )
    return out
