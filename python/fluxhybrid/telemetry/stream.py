"""Live events to those who watch.

Owns the one tap on the engine, open while anybody watches, and a bounded queue for each watcher.
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
_RETRY_S: Final = 1.0


class Watcher:
    """One who watches: what he wants to see, and what waits for him.

    Args:
        tenant_id: whose events.
        kinds: of these kinds.
        devices: of these devices, by key; empty for all.
        dropped: told how many events were lost, each time.
    """

    def __init__(
        self,
        tenant_id: int,
        kinds: Sequence[str],
        devices: Sequence[str],
        dropped: Callable[[int], None],
    ) -> None:
        self.tenant_id: Final = tenant_id
        self._kinds = frozenset(kinds or EVENT_KINDS)
        self._devices = frozenset(devices)
        self._tell_dropped = dropped
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = 0
        self._something = asyncio.Event()

    def wants(self, event: dict[str, Any]) -> bool:
        """Whether he watches for this."""
        if event.get("kind") not in self._kinds:
            return False
        if event.get("tenant", self.tenant_id) != self.tenant_id:
            return False
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
        self._watchers: set[Watcher] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def count(self) -> int:
        """How many watch."""
        return len(self._watchers)

    def join(self, tenant_id: int, kinds: Sequence[str], devices: Sequence[str]) -> Watcher:
        """Begin to watch.

        Raises:
            Unavailable: there are too many.
        """
        if len(self._watchers) >= WATCHERS_MAX:
            raise Unavailable(
                "stream.too_many", "too many are watching", hint="close another stream first"
            )
        watcher = Watcher(tenant_id, kinds, devices, self._dropped)
        self._watchers.add(watcher)
        self._count_changed(len(self._watchers))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="stream")
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Stop watching. Harmless when repeated."""
        self._watchers.discard(watcher)
        self._count_changed(len(self._watchers))
        if not self._watchers and self._task is not None:
            # Nobody watches: the engine need not make events.
            self._task.cancel()
            self._task = None

    async def close(self) -> None:
        """Let everybody go. Harmless when repeated."""
        self._watchers.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except Exception:
                _log.exception("the live stream broke: opening another")
            await asyncio.sleep(_RETRY_S)

    async def _follow(self) -> None:
        stream = self._events.events(None)
        lost_before = 0
        try:
            async for batch in stream:
                lost, lost_before = stream.dropped - lost_before, stream.dropped
                for watcher in tuple(self._watchers):
                    watcher.lose(lost)
                for event in batch:
                    self._tell(event)
        finally:
            stream.close()

    def _tell(self, event: dict[str, Any]) -> None:
        interested = [watcher for watcher in self._watchers if watcher.wants(event)]
        if interested:
            encoded = orjson.dumps(event)
            for watcher in interested:
                watcher.put(encoded)
