"""The event bus from Python: 100 B payloads, one filter, two subscribers that miss nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

import pytest

from fluxhybrid import EventBus

TOPIC: Final = "plant/7/temperature"
FILTER: Final = "plant/+/temperature"
PAYLOAD: Final = b"x" * 92
CAPACITY: Final = 4096
MESSAGES: Final = 50_000
BATCH: Final = 256
RECV_SECONDS: Final = 10.0


def _numbered(count: int) -> Iterator[tuple[str, bytes]]:
    # 8 bytes of number make it 100 B, and show what is missing or out of order.
    return ((TOPIC, number.to_bytes(8, "big") + PAYLOAD) for number in range(count))


class _Reader(threading.Thread):
    """Reads until it has had every message, and notes the first that is not the next."""

    def __init__(self, bus: EventBus, count: int) -> None:
        super().__init__(daemon=True)
        # A publisher that finds it full waits: what is measured loses nothing.
        self.subscription = bus.subscribe(FILTER, policy="block")
        self.left = count
        self.wrong: str | None = None

    def run(self) -> None:
        expected = 0
        while self.left and self.wrong is None:
            batch = self.subscription.recv(BATCH, RECV_SECONDS)
            if not batch:
                self.wrong = f"nothing came after {expected}"
                return
            for message in batch:
                number = int.from_bytes(message.payload[:8], "big")
                if number != expected:
                    self.wrong = f"{number} came where {expected} was due"
                    return
                expected += 1
            self.left -= len(batch)


def _one_at_a_time(bus: EventBus) -> None:
    for topic, payload in _numbered(MESSAGES):
        bus.publish(topic, payload)


def _in_batches(bus: EventBus) -> None:
    messages = _numbered(MESSAGES)
    while batch := list(islice(messages, BATCH)):
        bus.publish_batch(batch)


@pytest.mark.parametrize("publish", [_one_at_a_time, _in_batches])
def test_two_ordered_subscribers_in_threads(
    benchmark: Any, publish: Callable[[EventBus], None]
) -> None:
    """Publishers and both readers share one interpreter: this is what a Python program gets."""

    def setup() -> tuple[tuple[EventBus, list[_Reader]], dict[str, Any]]:
        bus = EventBus(capacity=CAPACITY)
        readers = [_Reader(bus, MESSAGES) for _ in range(2)]
        for reader in readers:
            reader.start()
        return (bus, readers), {}

    def run(bus: EventBus, readers: list[_Reader]) -> None:
        publish(bus)
        for reader in readers:
            reader.join()
        assert [reader.wrong for reader in readers] == [None, None]
        assert [reader.subscription.dropped for reader in readers] == [0, 0]
        bus.close()

    benchmark.pedantic(run, setup=setup, rounds=5)
    benchmark.extra_info["messages_per_s"] = round(MESSAGES / benchmark.stats.stats.median)


def test_two_counting_subscribers_in_one_thread(benchmark: Any) -> None:
    """The bus itself: batches in, batches out, each subscriber's messages counted."""
    bus = EventBus(capacity=CAPACITY)
    subscriptions = [bus.subscribe(FILTER) for _ in range(2)]
    batch = list(_numbered(BATCH))

    def run() -> None:
        for _ in range(MESSAGES // BATCH):
            bus.publish_batch(batch)
            for subscription in subscriptions:
                received = subscription.recv(BATCH, RECV_SECONDS)
                assert received is not None
                assert len(received) == BATCH

    benchmark.pedantic(run, rounds=5, warmup_rounds=1)
    assert [subscription.dropped for subscription in subscriptions] == [0, 0]
    benchmark.extra_info["messages_per_s"] = round(
        MESSAGES // BATCH * BATCH / benchmark.stats.stats.median
    )
