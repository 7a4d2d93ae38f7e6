"""The event bus, for Python programs of their own.

Owns the waiting for messages. Must never copy a message that nobody looks at.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Final, Literal, Self

from fluxhybrid import _native
from fluxhybrid._native import Message, MessageBatch
from fluxhybrid.engine.wake import Wake

__all__ = ["EventBus", "Message", "MessageBatch", "Policy", "Subscription"]

Policy = Literal["drop_oldest", "drop_newest", "block"]
"""What happens to a message for a subscriber that holds as many as it can."""

_BATCH_LEN_MAX: Final = 256
_BLOCK_TIMEOUT_S: Final = 5.0


class Subscription:
    """One subscriber's messages.

    ``async for message in subscription`` gives them one by one, ``async for batch in
    subscription.batches()`` as they come in batches; plain ``for`` does as well, and ``recv``
    waits in a thread. It has one reader at a time.
    """

    def __init__(self, native: _native.Subscription) -> None:
        self._native = native
        self._wake = Wake(native.fileno, native.clear)

    async def batches(
        self,
        max: int = _BATCH_LEN_MAX,  # noqa: A002
    ) -> AsyncIterator[MessageBatch]:
        """Batches of at least one message and at most ``max``, until it is closed."""
        try:
            while (batch := self._native.take(max)) is not None:
                if batch:
                    yield batch
                else:
                    await self._wake.wait()
        finally:
            self._wake.leave()

    async def __aiter__(self) -> AsyncIterator[Message]:
        async for batch in self.batches():
            for message in batch:
                yield message

    def __iter__(self) -> Iterator[Message]:
        while (batch := self._native.recv(_BATCH_LEN_MAX)) is not None:
            yield from batch

    def recv(
        self,
        max: int = _BATCH_LEN_MAX,  # noqa: A002
        timeout: float | None = None,
    ) -> MessageBatch | None:
        """Up to ``max`` messages, waiting up to ``timeout`` seconds for the first.

        Returns:
            A batch, empty after the time; ``None`` when it is closed and all was read.

        Raises:
            Conflict: another thread is receiving.
        """
        return self._native.recv(max, timeout)

    def close(self) -> None:
        """Unsubscribe: what was received so far can still be read. Harmless when repeated."""
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
    def received(self) -> int:
        """Messages read."""
        return self._native.received

    @property
    def dropped(self) -> int:
        """Messages lost because they were not read in time."""
        return self._native.dropped

    @property
    def queued(self) -> int:
        """Messages waiting to be read."""
        return self._native.queued


class EventBus(_native.EventBus):
    """Publish and subscribe by MQTT topic filter, within the process.

        >>> from fluxhybrid import EventBus
        >>> bus = EventBus(capacity=1024)
        >>> subscription = bus.subscribe("plant/+/temperature", policy="drop_oldest")
        >>> bus.publish("plant/7/temperature", "21.5")
        1
        >>> [(message.topic, message.payload) for message in subscription.recv()]
        [('plant/7/temperature', b'21.5')]

    Args:
        capacity: messages each subscriber holds, unless it says otherwise.
        subscribers_max: how many subscribers there may be.
    """

    def subscribe(  # type: ignore[override]  # the same subscription, with async for
        self,
        filter: str,  # noqa: A002
        policy: Policy = "drop_oldest",
        capacity: int | None = None,
        *,
        block_timeout: float | None = _BLOCK_TIMEOUT_S,
    ) -> Subscription:
        """Subscribe to what is published from now on.

        Args:
            filter: an MQTT topic filter.
            policy: what happens to a message that finds the subscriber full: ``drop_oldest``
                drops the oldest for it, ``drop_newest`` drops it, ``block`` has its publisher
                wait.
            capacity: messages to hold.
            block_timeout: seconds a publisher waits before it drops; ``None`` waits for ever.
        """
        native = super().subscribe(filter, policy, capacity, block_timeout=block_timeout)
        return Subscription(native)
