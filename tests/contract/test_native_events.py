"""Live events in an event loop: batches, kinds, slow readers, ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fluxhybrid import Engine, Invalid
from fluxhybrid.engine.events import EventStream
from tests.contract.native_fixture import PATIENCE_S, document, eventually

TOPIC = "v1/devices/thermo-1/telemetry"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(
        {
            "data_dir": str(tmp_path),
            "eventbus": {"capacity": 64},
            "engine": {"durability": "none"},
        }
    )
    engine.apply(document(1, trigger_script='print("looked"); temperature > 30'))
    with engine:
        yield engine


def report(engine: Engine, temperature: float) -> None:
    engine.publish(1, TOPIC, f'{{"temperature": {temperature}}}')


async def take(stream: EventStream, count: int) -> list[dict[str, Any]]:
    taken: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE_S):
        async for batch in stream:
            assert len(batch) > 0
            taken += batch
            if len(taken) >= count:
                break
    return taken


async def test_events_come_with_their_kinds(engine: Engine) -> None:
    stream = engine.events()
    await asyncio.to_thread(report, engine, 35.5)
    events = {event["kind"]: event for event in await take(stream, 3)}
    assert events.keys() == {"telemetry", "firing", "rule_log"}
    assert events["telemetry"]["values"] == {"temperature": 35.5}
    assert events["firing"]["device_id"] == events["telemetry"]["device_id"] == "thermo-1"
    assert events["rule_log"]["text"] == "looked"


async def test_only_the_kinds_asked_for_come(engine: Engine) -> None:
    stream = engine.events(kinds=["firing"])
    for temperature in (10, 35, 20, 36):
        await asyncio.to_thread(report, engine, temperature)
    firings = await take(stream, 2)
    assert [firing["values"]["temperature"] for firing in firings] == [35, 36]
    with pytest.raises(Invalid) as caught:
        engine.events(kinds=["presence"])
    assert "device_status" in str(caught.value.hint)


async def test_batch_is_read_lazily_and_as_a_sequence(engine: Engine) -> None:
    stream = engine.events(kinds=["telemetry"])
    for temperature in range(3):
        report(engine, temperature)
    eventually("all three are decided on", lambda: "decided" if _decided(engine) == 3 else None)
    batch = stream.recv(timeout=0)
    assert batch is not None
    assert (len(batch), batch.kind(0), batch.counts()) == (3, "telemetry", {"telemetry": 3})
    assert batch[-1] == batch[2] == batch.to_list()[2] == list(batch)[2]
    assert [event["values"]["temperature"] for event in batch] == [0, 1, 2]
    with pytest.raises(IndexError):
        batch[3]
    with pytest.raises(IndexError):
        batch[-4]


def _decided(engine: Engine) -> int:
    (line,) = [
        line
        for line in engine.metrics_text().splitlines()
        if line.startswith("flux_events_received_total ")
    ]
    return int(line.split()[1])


async def test_slow_reader_loses_the_oldest_and_is_told_how_many(engine: Engine) -> None:
    stream = engine.events(kinds=["telemetry"])
    for temperature in range(200):
        engine.publish(1, TOPIC, f'{{"temperature": {temperature}}}', qos=1)
    eventually("all are decided on", lambda: "decided" if _decided(engine) == 200 else None)
    batch = stream.recv(max=1_000, timeout=0)
    assert batch is not None
    assert [event["values"]["temperature"] for event in batch] == list(range(136, 200))
    assert stream.dropped == 200 - 64
    report(engine, 1)
    stream.close()
    assert [batch async for batch in stream] == [], "what is left is not wanted either"


async def test_kinds_do_not_crowd_one_another_out(engine: Engine) -> None:
    stream = engine.events(kinds=["firing", "telemetry", "rule_log"])
    await asyncio.to_thread(report, engine, 35)
    for temperature in range(20):
        report(engine, temperature)
    eventually("all are decided on", lambda: "decided" if _decided(engine) == 21 else None)
    events = await take(stream, 1 + 21 + 21)
    assert [event["values"]["temperature"] for event in events if event["kind"] == "firing"] == [35]
    # Each kind keeps its own order.
    seen = [event["values"]["temperature"] for event in events if event["kind"] == "telemetry"]
    assert (seen, stream.dropped) == ([35, *range(20)], 0)


async def test_closing_ends_the_iteration(engine: Engine) -> None:
    stream = engine.events()

    async def read() -> int:
        return sum([len(batch) async for batch in stream])

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.01)
    stream.close()
    stream.close()
    async with asyncio.timeout(PATIENCE_S):
        assert await reading == 0
    assert stream.recv() is None


async def test_closing_from_another_thread_ends_the_iteration(engine: Engine) -> None:
    stream = engine.events()
    asyncio.get_running_loop().call_later(
        0.01, asyncio.ensure_future, asyncio.to_thread(stream.close)
    )
    async with asyncio.timeout(PATIENCE_S):
        assert [len(batch) async for batch in stream] == []


async def test_stream_ends_when_the_engine_stops(engine: Engine) -> None:
    stream = engine.events()
    stopping = asyncio.create_task(asyncio.to_thread(engine.stop))
    async with asyncio.timeout(PATIENCE_S):
        assert [len(batch) async for batch in stream] == []
    assert await stopping


async def test_cancelled_reader_can_be_followed_by_another(engine: Engine) -> None:
    stream = engine.events(kinds=["telemetry"])
    for temperature in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(aiter(stream)), 0.01)
        await asyncio.to_thread(report, engine, temperature)
        assert len(await take(stream, 1)) == 1


async def test_streams_left_behind_leave_no_descriptor_with_the_loop(engine: Engine) -> None:
    for temperature in range(20):
        stream = engine.events(kinds=["telemetry"])
        await asyncio.to_thread(report, engine, temperature)
        # The descriptor of the one before, and with it its number, is free again by now.
        assert len(await take(stream, 1)) == 1
        del stream
    assert "flux_live_taps 0\n" in engine.metrics_text()


async def test_outbox_wakes_all_who_wait(engine: Engine) -> None:
    waiting = [asyncio.create_task(engine.outbox_ready()) for _ in range(2)]
    given_up = asyncio.create_task(engine.outbox_ready())
    await asyncio.sleep(0.01)
    given_up.cancel()
    hook = document(
        2, trigger_script="true", actions=[{"type": "webhook", "url": "http://127.0.0.1:9/"}]
    )
    await asyncio.to_thread(engine.apply, hook)
    await asyncio.to_thread(report, engine, 1)
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*waiting)
    (entry,) = engine.take_outbox(10)
    assert engine.take_outbox(10) == []
    engine.give_back_outbox(entry["id"])
    async with asyncio.timeout(PATIENCE_S):
        await engine.outbox_ready()
    assert engine.take_outbox(10) == [entry]
    engine.complete_outbox(entry["id"], False, "refused", 3)
    assert "flux_webhooks_failed_total 1\n" in engine.metrics_text()
