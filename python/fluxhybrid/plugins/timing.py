"""What a call takes.

Owns measuring it, in processor time, so that a busy machine does not count. Must never claim more
than it measures: through Python a call pays for its conversion, which calls inside the engine do
not; a batch shows how little is left without.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fluxhybrid.errors import FluxError
from fluxhybrid.plugins import wire
from fluxhybrid.plugins.ports import PluginHost
from fluxhybrid.plugins.trial import Call, call

__all__ = ["BATCH_LEN", "Timing", "measure"]

BATCH_LEN: Final = 64
_ROUNDS: Final = 5
_CALIBRATION_CALLS: Final = 20


@dataclass(frozen=True, slots=True)
class Timing:
    """Processor time of a call, the best of some rounds."""

    call: Call
    single_ns: float
    """One call at a time."""
    batched_ns: float | None
    """Each of a batch; ``None`` where the plugin takes no batches, or the call is no decoding."""
    calls: int
    """How many were made."""


def measure(host: PluginHost, plugin_id: str, wanted: Call, seconds: float) -> Timing:
    """Time a call over and over, for about so long."""
    share = seconds / (2 * _ROUNDS)
    single, calls = _best(host, plugin_id, wanted, share)
    batched = None
    if wanted.function == "decode":
        whole = Call("decode_batch", wire.batch([wanted.input] * BATCH_LEN), wanted.context)
        try:
            ns, batches = _best(host, plugin_id, whole, share)
        except FluxError:
            # An optional export.
            pass
        else:
            batched = ns / BATCH_LEN
            calls += batches * BATCH_LEN
    return Timing(wanted, single, batched, calls)


def _best(host: PluginHost, plugin_id: str, wanted: Call, seconds: float) -> tuple[float, int]:
    """Nanoseconds of a call in the best round, and how many calls were made."""
    first = _time(host, plugin_id, wanted, _CALIBRATION_CALLS)
    calls = max(_CALIBRATION_CALLS, int(seconds * 1e9 / max(first, 1)))
    rounds: Sequence[float] = [_time(host, plugin_id, wanted, calls) for _ in range(_ROUNDS)]
    return min(rounds), calls * _ROUNDS + _CALIBRATION_CALLS


def _time(host: PluginHost, plugin_id: str, wanted: Call, calls: int) -> float:
    begin = time.thread_time_ns()
    for _ in range(calls):
        call(host, plugin_id, wanted)
    return (time.thread_time_ns() - begin) / calls
