"""Events from another thread into an event loop: in batches, beside a callback for each."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final

import pytest

from fluxhybrid import EventBus

EVENTS: Final = 65_536
BATCH: Final = 256
CAPACITY: Final = 4096
PAYLOAD: Final = b"x" * 100

Round = Callable[[], Coroutine[Any, Any, None]]


def _publish(bus: EventBus) -> None:
    batch = [("plant/7/temperature", PAYLOAD)] * BATCH
    for _ in range(EVENTS // BATCH):
        bus.publish_batch(batch)


async def _through_the_bus(look_at_each: bool) -> None:
    bus = EventBus(capacity=CAPACITY)
    subscription = bus.subscribe("plant/#", policy="block")
    thread = threading.Thread(target=_publish, args=(bus,))
    thread.start()
    left = EVENTS
    async for batch in subscription.batches():
        if look_at_each:
            for message in batch:
                assert len(message.payload) == len(PAYLOAD)
        left -= len(batch)
        if left == 0:
            break
    thread.join()
    assert subscription.dropped == 0
    bus.close()


async def _through_callbacks() -> None:
    """What a program without the bus does: `loop.call_soon_threadsafe` for each event."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    left = EVENTS

    def arrived(payload: bytes) -> None:
        nonlocal left
        assert payload is PAYLOAD
        left -= 1
        if left == 0:
            done.set()

    def publish() -> None:
        for _ in range(EVENTS):
            loop.call_soon_threadsafe(arrived, PAYLOAD)

    thread = threading.Thread(target=publish)
    thread.start()
    await done.wait()
    thread.join()


WAYS: Final[dict[str, Round]] = {
    "batches": lambda: _through_the_bus(look_at_each=False),
    "batches, each message looked at": lambda: _through_the_bus(look_at_each=True),
    "call_soon_threadsafe": _through_callbacks,
}


@pytest.mark.parametrize("way", WAYS)
def test_events_into_asyncio(benchmark: Any, way: str) -> None:
    """Publishing in the other thread is part of the time: both share the interpreter."""
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        benchmark.pedantic(lambda: runner.run(WAYS[way]()), rounds=5, warmup_rounds=1)
    benchmark.extra_info["ns_per_event"] = round(benchmark.stats.stats.median * 1e9 / EVENTS)
