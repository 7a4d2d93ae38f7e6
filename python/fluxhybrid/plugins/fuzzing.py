"""Hostile input: what no device sends, but a network may.

Owns changing recorded calls into ones nobody foresaw, and telling what a plugin may answer (an
error of its own) from what it may not (a trap, a loop, a leak, garbage). Must never decide what is
right about an answer.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fluxhybrid.errors import FluxError
from fluxhybrid.plugins import wire
from fluxhybrid.plugins.ports import PluginHost
from fluxhybrid.plugins.trial import Call, call

__all__ = ["Finding", "FuzzReport", "fuzz", "mutated"]

_INPUT_BYTES_MAX: Final = 64 * 1024
_FINDINGS_MAX: Final = 100
_CLOCK_EVERY: Final = 64
_WARM_UP_SHARE: Final = 0.2
_LEAK_BYTES: Final = 16 * 2**20
"""Growth of this process, once warm, from which on somebody leaks."""
_STARTLING: Final = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a plugin must not do."""

    code: str
    message: str
    call: Call

    def as_vector(self) -> dict[str, Any]:
        """As a vector, so that it is tried from now on; what must come of it is for people."""
        context = {
            name: value.hex() if isinstance(value, bytes) else value
            for name, value in self.call.context.items()
        }
        content: dict[str, Any] = {"hex": self.call.input.hex()}
        if self.call.function == "decode_batch":
            inputs = wire.inputs_of(self.call.input)
            content = {"batch": [{"hex": one.hex()} for one in inputs]}
        return {
            "name": f"{self.code}: {self.message}",
            "source": "found by fluxhybrid plugin fuzz",
            "function": self.call.function,
            "context": context,
            "input": content,
            "expect": {},
        }


@dataclass(slots=True)
class FuzzReport:
    """What came of it."""

    calls: int = 0
    decoded: int = 0
    """Calls that made at least one message or frame."""
    refused: int = 0
    """Calls the plugin answered with an error of its own."""
    findings: list[Finding] = field(default_factory=list)
    grown_bytes: int = 0
    """How much the process grew, once warm."""

    @property
    def leaks(self) -> bool:
        """Whether it grew more than chance allows."""
        return self.grown_bytes > _LEAK_BYTES


def fuzz(
    host: PluginHost,
    plugin_id: str,
    seeds: Sequence[Call],
    *,
    seconds: float,
    seed: int,
    progress: Callable[[FuzzReport], None] = lambda _: None,
) -> FuzzReport:
    """Call a plugin with changed vectors for so long, or until there is too much to report.

    Args:
        host: runs the plugin.
        plugin_id: which.
        seeds: recorded calls to begin with.
        seconds: how long.
        seed: the same seed makes the same calls.
        progress: told now and then.
    """
    rng = random.Random(seed)  # noqa: S311
    pool = [one for one in seeds if one.function == "decode"] or [Call("decode", b"", {})]
    batched = _takes_batches(host, plugin_id)
    report = FuzzReport()
    begin = time.monotonic()
    warm: int | None = None
    while len(report.findings) < _FINDINGS_MAX:
        for _ in range(_CLOCK_EVERY):
            _try(host, plugin_id, _next(rng, pool, batched), report)
        elapsed = time.monotonic() - begin
        if warm is None and elapsed >= seconds * _WARM_UP_SHARE:
            warm = _resident_bytes()
        if elapsed >= seconds:
            break
        progress(report)
    report.grown_bytes = max(0, _resident_bytes() - warm) if warm else 0
    return report


def _takes_batches(host: PluginHost, plugin_id: str) -> bool:
    try:
        call(host, plugin_id, Call("decode_batch", wire.batch([]), {}))
    except FluxError:
        return False
    return True


def _next(rng: random.Random, pool: Sequence[Call], batched: bool) -> Call:
    chosen = mutated(rng, rng.choice(pool), pool)
    if not batched or rng.random() > 0.1:
        return chosen
    inputs = [mutated(rng, rng.choice(pool), pool).input for _ in range(rng.randrange(1, 9))]
    return Call("decode_batch", wire.batch([chosen.input, *inputs]), chosen.context)


def _try(host: PluginHost, plugin_id: str, wanted: Call, report: FuzzReport) -> None:
    report.calls += 1
    try:
        outcome = call(host, plugin_id, wanted)
    except FluxError as error:
        _find(report, Finding(error.code, error.message, wanted))
    except Exception as error:
        # Whatever it is: a host must not fail because of a guest.
        message = f"{type(error).__name__}: {error}"
        _find(report, Finding("plugin.host", message, wanted))
    else:
        parts = outcome.items or [outcome]
        report.decoded += any(part.messages or part.frames for part in parts)
        report.refused += any(part.error is not None for part in parts)


def _find(report: FuzzReport, finding: Finding) -> None:
    """Keep one finding of each kind: a thousand of the same help nobody."""
    if all((known.code, known.message) != (finding.code, finding.message)
           for known in report.findings):  # fmt: skip
        report.findings.append(finding)


def mutated(rng: random.Random, wanted: Call, pool: Sequence[Call]) -> Call:
    """A recorded call, changed: mostly its bytes, now and then what it is told."""
    content = wanted.input
    context: Mapping[str, Any] = wanted.context
    for _ in range(rng.randrange(1, 5)):
        content = _changed(rng, content, rng.choice(pool).input)
    if rng.random() < 0.2:
        context = _changed_context(rng, wanted.context, rng.choice(pool).context)
    return Call(wanted.function, content[:_INPUT_BYTES_MAX], context)


def _changed(rng: random.Random, content: bytes, other: bytes) -> bytes:
    at = rng.randrange(len(content) + 1)
    end = rng.randrange(at, len(content) + 1)
    match rng.randrange(9):
        case 0:
            return content[:at]
        case 1:
            return content[:at] + rng.randbytes(rng.randrange(1, 9)) + content[at:]
        case 2:
            return content[:at] + content[end:]
        case 3:
            return content[:at] + content[at:end] * rng.randrange(2, 6) + content[end:]
        case 4:
            return content[:at] + other[rng.randrange(len(other) + 1) :]
        case 5:
            return _with(content, at, rng.choice(_STARTLING))
        case 6:
            return _with(content, at, rng.randrange(256))
        case 7:
            return _with(content, at, content[at] ^ 1 << rng.randrange(8)) if content[at:] else b""
        case _:
            return rng.randbytes(rng.choice((0, 1, 7, 64, 1_000, 20_000)))


def _with(content: bytes, at: int, byte: int) -> bytes:
    return content[:at] + bytes([byte]) + content[at + 1 :]


def _changed_context(
    rng: random.Random, context: Mapping[str, Any], other: Mapping[str, Any]
) -> dict[str, Any]:
    changed = dict(context)
    name = rng.choice(("request", "state", "state", "topic", "settings"))
    if rng.random() < 0.3:
        changed.pop(name, None)
    elif name in {"request", "state"}:
        changed[name] = _changed(rng, changed.get(name, b""), other.get(name, b""))
    elif name in other:
        changed[name] = other[name]
    return changed


def _resident_bytes() -> int:
    """Memory of this process; 0 where the machine does not say."""
    try:
        with open("/proc/self/statm", "rb") as stream:
            pages = int(stream.read().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * 4096
