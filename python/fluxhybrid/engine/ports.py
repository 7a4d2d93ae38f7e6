"""What the engine offers to Python, as seen from above.

Owns the protocols features are written against. Must never import the extension module: tests put
an engine of their own in its place. Times are milliseconds since the Unix epoch; a tenant is its
number; a device is named by its key.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Protocol

from fluxhybrid.errors import Problem

__all__ = [
    "EngineDocument",
    "EnginePort",
    "EventBatch",
    "EventStream",
    "Record",
    "ScriptTester",
]

EngineDocument = Mapping[str, Any]
"""A whole configuration (has ``generation``), or a change to one (has ``base_generation`` too)."""

Record = dict[str, Any]
"""One JSON object that came out of the engine."""


class EventBatch(Protocol):
    """Some events, in order, each with its ``kind``; each may be made when it is looked at."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Record: ...

    def __iter__(self) -> Iterator[Record]: ...


class EventStream(Protocol):
    """Live events in batches. Bounded inside the engine: what a slow reader misses is counted."""

    def __aiter__(self) -> AsyncIterator[EventBatch]:
        """Batches of at least one event each, each event with its ``kind``."""
        ...

    def close(self) -> None:
        """End the stream; the iteration stops. Harmless when repeated."""
        ...

    @property
    def dropped(self) -> int:
        """Events this stream missed because it was not read in time."""
        ...


class EnginePort(Protocol):
    """The data plane. Methods are quick unless they say otherwise, and raise the project's errors.

    ``check_configuration`` and ``apply`` compile scripts and are called in a thread.
    """

    def start(self) -> Record:
        """Open the listeners; gives the addresses bound, such as ``{"mqtt": "127.0.0.1:1883"}``."""
        ...

    def stop(self, timeout_ms: int) -> bool:
        """Stop, within the time given; false if something was left to recovery.

        Harmless when repeated.
        """
        ...

    def generation(self) -> int:
        """The number of the configuration in force; 0 before the first."""
        ...

    def check_configuration(self, document: EngineDocument) -> list[Problem]:
        """Everything that is wrong with a document or a change; changes nothing. Slow."""
        ...

    def apply(self, document: EngineDocument) -> int:
        """Put a document or a change in force, whole or not at all; gives its generation. Slow.

        Raises:
            Invalid: with every problem.
            Conflict: the change is built on another generation.
        """
        ...

    def latest(self, tenant: int, device_id: str) -> Record | None:
        """The last values of a device: ``{"device_id", "ts", "values", ...}``."""
        ...

    def telemetry(
        self,
        tenant: int,
        device_id: str,
        from_ms: int,
        to_ms: int,
        *,
        names: Sequence[str] = (),
        step_ms: int | None = None,
        aggregations: Sequence[str] = (),
        fill: bool = False,
        descending: bool = False,
        limit: int = 10_000,
        after: str | None = None,
    ) -> Record:
        """A device's history: samples or, with ``step_ms``, buckets of them. Slow.

        ``{"series": [{"name", "points": [[ms, value, ...], ...]}], "next", "damaged_chunks"}``.

        Raises:
            NotFound: there is no such device.
            Invalid: the question is none.
        """
        ...

    def telemetry_names(self, tenant: int, device_id: str) -> list[str]:
        """The names of the values a device has a history of."""
        ...

    def status(self, tenant: int, device_ids: Sequence[str]) -> dict[str, Record]:
        """By device: ``{"status": "online" | "offline", "last_online": ms | None}``."""
        ...

    def firings(
        self,
        tenant: int,
        rule_id: str | None = None,
        device_id: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[Record]:
        """Firings, newest first, from behind the one with the id ``before`` on."""
        ...

    def refusals(self, tenant: int, limit: int = 100) -> Record:
        """What was refused lately: ``{"items": [...], "unlisted": int}``, the last one first."""
        ...

    def figures(self) -> Record:
        """The engine's work in a few numbers: counters (``..._total``) and how things are now."""
        ...

    def alarms(
        self,
        tenant: int,
        state: str | None = None,
        device_id: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[Record]:
        """Alarms, newest first, from behind the one with the id ``before`` on."""
        ...

    def acknowledge_alarm(self, tenant: int, alarm_id: str, who: str) -> Record:
        """Somebody has seen it.

        Raises:
            NotFound: there is no such alarm.
            Conflict: it is cleared already.
        """
        ...

    def clear_alarm(self, tenant: int, alarm_id: str, who: str) -> Record:
        """It is over.

        Raises:
            NotFound: there is no such alarm.
        """
        ...

    def commands(
        self,
        tenant: int,
        device_id: str | None = None,
        status: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[Record]:
        """Commands, newest first, from behind the one with the id ``before`` on."""
        ...

    def command(self, tenant: int, command_id: str) -> Record | None:
        """One command with its status and reply."""
        ...

    def send_command(
        self, tenant: int, device_id: str, command: str, params: Any, max_age_ms: int
    ) -> str:
        """Queue a command; gives its id.

        Raises:
            NotFound: there is no such device.
        """
        ...

    def publish(self, tenant: int, topic: str, payload: bytes, qos: int) -> None:
        """Publish as if a client had; with QoS 1 it is on disk when this returns."""
        ...

    def plugins(self) -> list[Record]:
        """Every plugin with its health, calls, pool and what is wrong with it."""
        ...

    def plugin(self, plugin_id: str) -> Record:
        """One plugin.

        Raises:
            NotFound: there is none of that id.
        """
        ...

    def install_plugin(
        self,
        plugin_id: str,
        wasm: bytes,
        vectors: bytes | None = None,
        manifest: bytes | None = None,
    ) -> Record:
        """Put a plugin in force, in place of what runs under that id. Slow.

        Raises:
            Invalid: it is no plugin, or its vectors fail; nothing has changed then.
        """
        ...

    def roll_back_plugin(self, plugin_id: str) -> Record:
        """Put the version before the present one in force again. Slow.

        Raises:
            NotFound: there is none.
        """
        ...

    def remove_plugin(self, plugin_id: str) -> None:
        """Remove a plugin that was installed."""
        ...

    def reload_plugins(self) -> list[Record]:
        """Look at the plugins' directory now. Slow."""
        ...

    def events(self, tenant: int, kinds: Sequence[str] | None = None) -> EventStream:
        """A tenant's live events of these kinds, or of all."""
        ...

    async def outbox_ready(self) -> None:
        """Wait until there may be something in the outbox."""
        ...

    def take_outbox(self, limit: int) -> list[Record]:
        """Up to ``limit`` actions that Python has to run; each is given out once until completed.

        Each is ``{"id", "firing_id", "action", "body", "max_age_ms", "ts", "tenant"}``.
        """
        ...

    def complete_outbox(self, entry_id: str, ok: bool, detail: str, attempts: int) -> None:
        """An action was done or is given up, after this many attempts."""
        ...

    def give_back_outbox(self, entry_id: str) -> None:
        """An action that was taken is still to be done: it will be given out again."""
        ...

    def metrics_text(self) -> str:
        """The engine's metrics in the Prometheus text format."""
        ...

    def health(self) -> Record:
        """How the engine is: ``{"status": "ok" | ..., ...}``."""
        ...


class ScriptTester(Protocol):
    """Tries a rule on a message, without a device and without effects."""

    def test(self, source: str, message: Record, env: Record) -> Record:
        """``{"triggered": bool, "effects": [...], "logs": [...], "error": ... | None}``. Slow.

        Raises:
            Invalid: ``rule.compile``, with the line and column.
        """
        ...
