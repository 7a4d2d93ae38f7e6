"""Live events of the engine, for event loops and for threads.

Owns the waiting for them. Must never make an event that nobody looks at.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Final, Self

from fluxhybrid import _native
from fluxhybrid._native import EventBatch
from fluxhybrid.engine.wake import Wake

__all__ = ["EventBatch", "EventStream"]

_BATCH_LEN_MAX: Final = 256


class EventStream:
    """Live events in batches: ``async for batch in stream`` or ``for batch in stream``.

    A batch has ``len()`` and is read as dicts, each with its ``kind``; a dict is made when it is
    looked at. The engine keeps a bounded number of events for a stream: what is not read in time
    is dropped, the oldest first, and counted.
    """

    def __init__(self, native: _native.EventStream) -> None:
        self._native = native
        self._wake = Wake(native.fileno, native.clear)

    def __aiter__(self) -> AsyncIterator[EventBatch]:
        return self

    async def __anext__(self) -> EventBatch:
        while True:
            batch = self._native.take(_BATCH_LEN_MAX)
            if batch is None:
                self._wake.leave()
                raise StopAsyncIteration
            if batch:
                return batch
            await self._wake.wait()

    def __iter__(self) -> Iterator[EventBatch]:
        while (batch := self._native.recv(_BATCH_LEN_MAX)) is not None:
            yield batch

    def recv(
        self,
        max: int = _BATCH_LEN_MAX,  # noqa: A002
        timeout: float | None = None,
    ) -> EventBatch | None:
        """Up to ``max`` events, waiting up to ``timeout`` seconds for the first.

        Returns:
            A batch, empty after the time; ``None`` when the stream has ended.
        """
        return self._native.recv(max, timeout)

    def close(self) -> None:
        """End the stream; the iteration stops. Harmless when repeated."""
        self._native.close()
        self._wake.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # Not there when __init__ was given nonsense.
        if hasattr(self, "_wake"):
            self._wake.leave()

    @property
    def dropped(self) -> int:
        """Events, of any kind, that were not read in time."""
        return self._native.dropped
