"""Live events to those who watch.

Owns the taps on the engine, open while anybody watches, and a bounded queue for each watcher.
Must never wait for a watcher: one that is slow loses the oldest events, counted, and is told.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from fluxhybrid.errors import Unavailable
from fluxhybrid.telemetry.model import EVENT_KINDS
from fluxhybrid.telemetry.ports import Events

__all__ = ["Watcher", "Watchers"]

_log = logging.getLogger(__name__)

WATCHERS_MAX: Final = 100
"""At the same time."""
QUEUE_LEN_MAX: Final = 1_000
"""Events waiting for one watcher."""
QUEUE_BYTES_MAX: Final = 4 * 2**20
"""Bytes waiting for one watcher."""
BATCH_LEN_MAX: Final = 200
"""Events in one message to a watcher."""
EVENTS_PER_S_MAX: Final = 5_000
"""Events taken from the engine in a second, for all together."""
_RETRY_S: Final = 1.0

_Group = tuple[int, tuple[str, ...]]
"""A tenant, and kinds of events."""


class Watcher:
    """One who watches: what he wants to see, and what waits for him.

    Args:
        group: whose events, and of which kinds.
        devices: of these devices, by key; empty for all.
        dropped: told how many events were lost, each time.
    """

    def __init__(
        self,
        group: _Group,
        devices: Sequence[str],
        dropped: Callable[[int], None],
    ) -> None:
        self.group: Final = group
        self._devices = frozenset(devices)
        self._tell_dropped = dropped
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = 0
        self._something = asyncio.Event()

    def wants(self, event: dict[str, Any]) -> bool:
        """Whether he watches for this."""
        return not self._devices or event.get("device_id") in self._devices

    def put(self, encoded: bytes) -> None:
        """Queue an event; the oldest go when there is no room."""
        self._queue.append(encoded)
        self._bytes += len(encoded)
        lost = 0
        while len(self._queue) > QUEUE_LEN_MAX or self._bytes > QUEUE_BYTES_MAX:
            self._bytes -= len(self._queue.popleft())
            lost += 1
        self.lose(lost)
        self._something.set()

    def lose(self, count: int) -> None:
        """Note events that were lost before they came here."""
        if count:
            self._dropped += count
            self._tell_dropped(count)
            self._something.set()

    async def next_message(self) -> bytes:
        """Wait for events; gives ``{"dropped": <since the last message>, "events": [...]}``."""
        while not self._queue and not self._dropped:
            self._something.clear()
            await self._something.wait()
        count = min(len(self._queue), BATCH_LEN_MAX)
        batch = [self._queue.popleft() for _ in range(count)]
        self._bytes -= sum(map(len, batch))
        dropped, self._dropped = self._dropped, 0
        return b'{"dropped":%d,"events":[%s]}' % (dropped, b",".join(batch))


class Watchers:
    """All who watch.

    Args:
        events: where events come from.
        count_changed: told how many watch.
        dropped: told how many events a watcher lost.
    """

    def __init__(
        self,
        events: Events,
        *,
        count_changed: Callable[[int], None] = lambda _: None,
        dropped: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._events = events
        self._count_changed = count_changed
        self._dropped = dropped
        # Those who watch the same kinds of a tenant share a tap on the engine, which sorts the
        # others out where it is cheap.
        self._groups: dict[_Group, set[Watcher]] = {}
        self._tasks: dict[_Group, asyncio.Task[None]] = {}

    @property
    def count(self) -> int:
        """How many watch."""
        return sum(map(len, self._groups.values()))

    def join(self, tenant_id: int, kinds: Sequence[str], devices: Sequence[str]) -> Watcher:
        """Begin to watch.

        Raises:
            Unavailable: there are too many.
        """
        if self.count >= WATCHERS_MAX:
            raise Unavailable(
                "stream.too_many", "too many are watching", hint="close another stream first"
            )
        group = (tenant_id, tuple(sorted(set(kinds or EVENT_KINDS))))
        watcher = Watcher(group, devices, self._dropped)
        self._groups.setdefault(group, set()).add(watcher)
        self._count_changed(self.count)
        if group not in self._tasks:
            self._tasks[group] = asyncio.create_task(self._run(group), name="stream")
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Stop watching. Harmless when repeated."""
        watching = self._groups.get(watcher.group, set())
        watching.discard(watcher)
        if not watching:
            # Nobody watches: the engine need not make events.
            self._groups.pop(watcher.group, None)
            task = self._tasks.pop(watcher.group, None)
            if task is not None:
                task.cancel()
        self._count_changed(self.count)

    async def close(self) -> None:
        """Let everybody go. Harmless when repeated."""
        self._groups.clear()
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, group: _Group) -> None:
        while True:
            try:
                await self._follow(group)
            except Exception:
                _log.exception("the live stream broke: opening another")
            await asyncio.sleep(_RETRY_S)

    async def _follow(self, group: _Group) -> None:
        tenant_id, kinds = group
        stream = self._events.events(tenant_id, kinds)
        lost_before = 0
        try:
            async for batch in stream:
                lost, lost_before = stream.dropped - lost_before, stream.dropped
                watching = tuple(self._groups.get(group, ()))
                for watcher in watching:
                    watcher.lose(lost)
                for event in batch:
                    _tell(watching, event)
                # Nobody reads faster than that; what is too much is dropped by the engine, and
                # counted, before it costs anything here.
                await asyncio.sleep(len(batch) * len(self._tasks) / EVENTS_PER_S_MAX)
        finally:
            stream.close()


def _tell(watching: Sequence[Watcher], event: dict[str, Any]) -> None:
    interested = [watcher for watcher in watching if watcher.wants(event)]
    if interested:
        encoded = orjson.dumps(event)
        for watcher in interested:
            watcher.put(encoded)
