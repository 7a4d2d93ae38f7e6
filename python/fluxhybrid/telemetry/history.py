"""What a device's values were: the question, and its answer as a page or as CSV.

Owns how times and steps are written. Must never hold a whole answer that may be long.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fluxhybrid.config.quantities import parse_duration
from fluxhybrid.configuration.ids import now_ms
from fluxhybrid.errors import Invalid
from fluxhybrid.storage.records import Device
from fluxhybrid.telemetry.ports import History

__all__ = ["LIMIT_DEFAULT", "LIMIT_MAX", "Question", "answer", "as_csv", "read_step", "read_time"]

LIMIT_DEFAULT: Final = 10_000
LIMIT_MAX: Final = 100_000
CSV_PAGE_LEN: Final = 10_000
SPAN_DEFAULT: Final = timedelta(hours=1)
_MS: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a device's history; times are milliseconds since 1970."""

    from_ms: int
    to_ms: int
    names: list[str] = field(default_factory=list)
    step_ms: int | None = None
    agg: list[str] = field(default_factory=list)
    fill: bool = False
    descending: bool = False
    limit: int = LIMIT_DEFAULT
    after: str | None = None

    @classmethod
    def of(
        cls,
        *,
        from_text: str | None,
        to_text: str | None,
        step_text: str | None,
        agg: list[str],
        **rest: Any,
    ) -> Question:
        """The question as it is written in a URL: the last hour, unless it says otherwise.

        Raises:
            Invalid: a time or step cannot be read, or aggregations are asked for without a step.
        """
        to_ms = now_ms() if to_text is None else read_time("to", to_text)
        from_ms = to_ms - SPAN_DEFAULT // _MS if from_text is None else read_time("from", from_text)
        step_ms = None if step_text is None else read_step(step_text)
        if from_ms > to_ms:
            raise Invalid("telemetry.range", "from is after to", hint="swap them")
        if agg and step_ms is None:
            raise Invalid("telemetry.agg", "agg has no step", hint="give a step such as 5m")
        words = agg or ([] if step_ms is None else ["avg"])
        return cls(from_ms=from_ms, to_ms=to_ms, step_ms=step_ms, agg=words, **rest)


def read_time(name: str, text: str) -> int:
    """Milliseconds since 1970, of those or of a time by RFC 3339.

    Raises:
        Invalid: it is neither.
    """
    try:
        if text.lstrip("-").isdecimal():
            value = int(text)
        else:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise ValueError("no offset")  # noqa: TRY301
            value = (moment - _EPOCH) // _MS
        if abs(value) > 2**53:
            raise ValueError("too far away")  # noqa: TRY301
    except ValueError:
        raise Invalid(
            "telemetry.time",
            f"{name} is no time: {text[:40]!r}",
            hint="milliseconds since 1970, or such as 2026-11-25T08:00:00Z",
        ) from None
    return value


def read_step(text: str) -> int:
    """Milliseconds, of those or of a length with its unit, such as ``5m``.

    Raises:
        Invalid: it is neither, or none.
    """
    try:
        value = int(text) if text.isdecimal() else parse_duration(text) // _MS
    except ValueError:
        value = 0
    if not 1 <= value <= 2**53:
        raise Invalid(
            "telemetry.step",
            f"step is no length of time: {text[:40]!r}",
            hint="milliseconds, or a number with a unit (ms, s, m, h, d), such as 5m",
        )
    return value


def answer(history: History, device: Device, question: Question) -> dict[str, Any]:
    """A page of the answer."""
    found = _ask(history, device, question)
    return {
        "device_id": device.key,
        "id": device.id,
        "from_ms": question.from_ms,
        "to_ms": question.to_ms,
        "step_ms": question.step_ms,
        "agg": question.agg,
        "series": found["series"],
        "next_cursor": found["next"],
        "damaged_chunks": found["damaged_chunks"],
    }


async def as_csv(history: History, device: Device, question: Question) -> AsyncIterator[str]:
    """The whole answer as CSV (RFC 4180), page by page: time, name, then values."""
    yield _lines([["time", "name", *(question.agg or ["value"])]])
    question = replace(question, limit=CSV_PAGE_LEN)
    while True:
        page = await asyncio.to_thread(_ask, history, device, question)
        rows = (
            [_time(point[0]), series["name"], *point[1:]]
            for series in page["series"]
            for point in series["points"]
        )
        yield _lines(rows)
        if page["next"] is None:
            return
        question = replace(question, after=page["next"])


def _ask(history: History, device: Device, question: Question) -> dict[str, Any]:
    return history.telemetry(
        device.tenant_id,
        device.key,
        question.from_ms,
        question.to_ms,
        names=question.names,
        step_ms=question.step_ms,
        aggregations=question.agg,
        fill=question.fill,
        descending=question.descending,
        limit=question.limit,
        after=question.after,
    )


def _time(ms: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _lines(rows: Any) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
