"""The event bus from Python: policies, batches, threads, event loops."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from fluxhybrid import Conflict, EventBus, Invalid, Unavailable
from fluxhybrid.engine.bus import Subscription


@pytest.fixture
def bus() -> Iterator[EventBus]:
    bus = EventBus(capacity=4)
    yield bus
    bus.close()


def payloads(subscription: Subscription) -> list[bytes]:
    batch = subscription.recv(timeout=0)
    assert batch is not None
    return [message.payload for message in batch]


def publish_numbers(bus: EventBus, count: int) -> None:
    for number in range(count):
        bus.publish("numbers", str(number))


def test_messages_reach_those_whose_filter_matches(bus: EventBus) -> None:
    warm = bus.subscribe("plant/+/temperature")
    every = bus.subscribe("#")
    assert bus.publish("plant/7/temperature", "21.5") == 2
    assert bus.publish("plant/7/pressure", b"\x00\xff") == 1
    assert bus.publish_batch([("a", b"1"), ("b", bytearray(b"2"))]) == 2
    assert payloads(warm) == [b"21.5"]
    batch = every.recv()
    assert batch is not None
    assert [(m.topic, m.payload) for m in batch] == [
        ("plant/7/temperature", b"21.5"),
        ("plant/7/pressure", b"\x00\xff"),
        ("a", b"1"),
        ("b", b"2"),
    ]
    assert (batch[-1], batch[0].topic) == (batch[3], "plant/7/temperature")
    with pytest.raises(IndexError):
        batch[4]


def test_drop_oldest_keeps_the_last(bus: EventBus) -> None:
    subscription = bus.subscribe("numbers", policy="drop_oldest")
    publish_numbers(bus, 10)
    assert payloads(subscription) == [b"6", b"7", b"8", b"9"]
    assert (subscription.received, subscription.dropped, subscription.queued) == (4, 6, 0)


def test_drop_newest_keeps_the_first(bus: EventBus) -> None:
    subscription = bus.subscribe("numbers", policy="drop_newest", capacity=2)
    publish_numbers(bus, 10)
    assert payloads(subscription) == [b"0", b"1"]
    assert subscription.dropped == 8


def test_block_makes_the_publisher_wait_and_loses_nothing(bus: EventBus) -> None:
    subscription = bus.subscribe("numbers", policy="block", block_timeout=None)
    publisher = threading.Thread(target=publish_numbers, args=(bus, 100))
    publisher.start()
    received: list[bytes] = []
    while len(received) < 100:
        batch = subscription.recv(max=3, timeout=20)
        assert batch, "the publisher went on"
        received += [message.payload for message in batch]
    publisher.join()
    assert received == [str(number).encode() for number in range(100)]
    assert subscription.dropped == 0


def test_block_gives_up_after_its_time(bus: EventBus) -> None:
    subscription = bus.subscribe("numbers", policy="block", capacity=1, block_timeout=0.01)
    publish_numbers(bus, 3)
    assert (payloads(subscription), subscription.dropped) == ([b"0"], 2)


def test_closing_the_bus_ends_subscriptions_once_they_are_read(bus: EventBus) -> None:
    subscription = bus.subscribe("numbers")
    publish_numbers(bus, 2)
    bus.close()
    assert [message.payload for message in subscription] == [b"0", b"1"]
    assert subscription.recv() is None
    with pytest.raises(Unavailable, match="closed"):
        bus.publish("numbers", "3")


def test_closing_a_subscription_releases_who_waits_for_it(bus: EventBus) -> None:
    subscription = bus.subscribe("numbers")
    ended: list[object] = []
    reader = threading.Thread(target=lambda: ended.append(subscription.recv()))
    reader.start()
    subscription.close()
    reader.join(20)
    assert ended == [None]
    assert bus.stats()["subscribers"] == 0


def test_second_reader_is_refused(bus: EventBus) -> None:
    subscription = bus.subscribe("numbers")
    inside = threading.Event()

    def read() -> None:
        inside.set()
        subscription.recv(timeout=20)

    reader = threading.Thread(target=read)
    reader.start()
    inside.wait(20)
    refused: list[Conflict] = []
    while not refused:
        # The reader may not have begun to wait yet.
        try:
            subscription.recv(timeout=0)
        except Conflict as error:
            refused.append(error)
    assert "another thread" in refused[0].message
    subscription.close()
    reader.join(20)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda bus: bus.publish("plant/+", ""), Invalid, "topic"),
        (lambda bus: bus.publish("a", 7), TypeError, "bytes or str, not int"),
        (lambda bus: bus.publish_batch([("a", b""), ("#", b"")]), Invalid, "topic"),
        (lambda bus: bus.subscribe("a/#/b"), Invalid, "last level"),
        (lambda bus: bus.subscribe("a", policy="drop"), Invalid, "drop_oldest"),
        (lambda bus: bus.subscribe("a", capacity=0), Invalid, "capacity"),
        (lambda bus: bus.subscribe("a").recv(max=0), ValueError, "from 1"),
        (lambda bus: bus.subscribe("a").recv(timeout=-1), ValueError, "timeout"),
        (lambda _: EventBus(0), Invalid, "capacity"),
    ],
)
def test_wrong_use_is_told(
    bus: EventBus, call: Callable[[EventBus], object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        call(bus)
    assert bus.stats()["published"] == 0


def test_subscribers_are_limited() -> None:
    bus = EventBus(subscribers_max=1)
    held = bus.subscribe("a")
    with pytest.raises(Unavailable) as caught:
        bus.subscribe("b")
    assert caught.value.code == "bus.too_many_taps"
    held.close()
    bus.subscribe("b")


async def test_event_loop_is_woken_for_messages_of_other_threads(bus: EventBus) -> None:
    subscription = bus.subscribe("numbers", policy="block", block_timeout=None)

    async def read() -> list[bytes]:
        return [message.payload async for message in subscription]

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    await asyncio.to_thread(publish_numbers, bus, 1_000)
    subscription.close()
    assert await reading == [str(number).encode() for number in range(1_000)]


async def test_batches_hold_what_came_meanwhile(bus: EventBus) -> None:
    subscription = bus.subscribe("numbers")
    sizes: list[int] = []
    publish_numbers(bus, 3)
    async for batch in subscription.batches():
        sizes.append(len(batch))
        if len(sizes) == 1:
            publish_numbers(bus, 2)
        else:
            bus.close()
    assert sizes == [3, 2]


async def test_cancelled_reader_leaves_nothing_in_the_event_loop(bus: EventBus) -> None:
    subscription = bus.subscribe("numbers")
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(aiter(subscription)), 0.01)
    publish_numbers(bus, 1)
    message = await anext(aiter(subscription))
    assert message.payload == b"0"


def test_subscription_is_read_in_one_event_loop_after_another(bus: EventBus) -> None:
    subscription = bus.subscribe("numbers")

    async def read_one() -> bytes:
        asyncio.get_running_loop().call_soon(publish_numbers, bus, 1)
        async for message in subscription:
            return message.payload
        raise AssertionError("it has ended")

    assert [asyncio.run(read_one()) for _ in range(3)] == [b"0"] * 3


def test_uvloop_reads_as_asyncio_does(bus: EventBus) -> None:
    uvloop = pytest.importorskip("uvloop")
    subscription = bus.subscribe("numbers")

    async def read() -> list[bytes]:
        publisher = asyncio.to_thread(publish_numbers, bus, 4)
        asyncio.get_running_loop().call_later(0.01, asyncio.ensure_future, publisher)
        received: list[bytes] = []
        async for message in subscription:
            received.append(message.payload)
            if len(received) == 4:
                break
        return received

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(read()) == [b"0", b"1", b"2", b"3"]
