"""The live stream over a real WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from fluxhybrid.telemetry import stream as stream_module
from fluxhybrid.telemetry.stream import Watcher
from tests.contract.api_fixture import Running, running
from tests.contract.engine_double import EventStreamDouble


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as made:
        yield made


def watch(site: Running, query: str = "", token: str | None = None) -> connect:
    url = f"ws://{site.platform.addresses['api']}/api/v1/stream{query}"
    headers = {"Authorization": f"Bearer {site.token if token is None else token}"}
    return connect(url, additional_headers=headers, proxy=None)


def event(kind: str, device: str, number: int = 0) -> dict[str, Any]:
    return {"kind": kind, "device_id": device, "number": number}


async def tap(site: Running) -> EventStreamDouble:
    """The engine's side of the stream, once somebody watches."""
    async with asyncio.timeout(10):
        while not site.engine.streams or site.engine.streams[-1].closed:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    return site.engine.streams[-1]


async def received(socket: ClientConnection) -> Any:
    async with asyncio.timeout(10):
        return json.loads(await socket.recv())


async def test_events_arrive_in_order_and_as_asked_for(site: Running) -> None:
    async with watch(site, "?kind=telemetry&kind=alarm&device=t1") as socket:
        engine = await tap(site)
        engine.put(
            [
                event("telemetry", "t1", 1),
                event("telemetry", "t2", 2),
                event("firing", "t1", 3),
                event("alarm", "t1", 4),
            ]
        )
        message = await received(socket)
        assert message["dropped"] == 0
        assert [told["number"] for told in message["events"]] == [1, 4]


async def test_everything_is_told_without_a_filter(site: Running) -> None:
    async with watch(site) as socket:
        engine = await tap(site)
        engine.put([event("refused", "x", 1), event("rule_log", "y", 2)])
        assert len((await received(socket))["events"]) == 2


async def test_engine_is_tapped_only_while_somebody_watches(site: Running) -> None:
    assert site.engine.streams == []
    async with watch(site), watch(site):
        engine = await tap(site)
        assert len(site.engine.streams) == 1
        assert (await site.http.get("/api/v1/status")).json()["stream_clients"] == 2
    async with asyncio.timeout(10):
        while not engine.closed:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert (await site.http.get("/api/v1/status")).json()["stream_clients"] == 0


@pytest.mark.parametrize(
    ("query", "token", "status", "code"),
    [
        ("", "wrong", 401, "auth.wrong"),
        ("", "", 401, "auth.missing"),
        ("?kind=nonsense", None, 422, "request.literal_error"),
        ("?device=a/b", None, 422, "request.string_pattern_mismatch"),
    ],
)
async def test_refusal_is_a_problem_document(
    site: Running, query: str, token: str | None, status: int, code: str
) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await watch(site, query, token)
    response = caught.value.response
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(response.body)["code"] == code


async def test_browser_brings_its_token_beside_the_subprotocol(site: Running) -> None:
    url = f"ws://{site.platform.addresses['api']}/api/v1/stream"
    offered = [Subprotocol("fluxhybrid.v1"), Subprotocol(f"bearer.{site.token}")]
    async with connect(url, subprotocols=offered, proxy=None) as socket:
        # The token is not sent back.
        assert socket.subprotocol == "fluxhybrid.v1"


async def test_too_many_watchers_are_turned_away(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "WATCHERS_MAX", 1)
    async with watch(site):
        await tap(site)
        with pytest.raises(InvalidStatus) as caught:
            await watch(site)
        assert caught.value.response.status_code == 503


async def test_watcher_who_talks_is_cut_off(site: Running) -> None:
    async with watch(site) as socket:
        await tap(site)
        await socket.send("hello")
        with pytest.raises(ConnectionClosed) as caught:
            await received(socket)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1008


async def test_stream_that_breaks_is_opened_again(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "_RETRY_S", 0.01)
    async with watch(site) as socket:
        first = await tap(site)
        first.close()
        second = await tap(site)
        assert second is not first
        second.put([event("alarm", "t1")])
        assert (await received(socket))["events"]


async def test_events_lost_in_the_engine_are_told(site: Running) -> None:
    async with watch(site) as socket:
        engine = await tap(site)
        engine.dropped = 7
        engine.put([event("alarm", "t1")])
        assert (await received(socket))["dropped"] == 7


async def test_slow_watcher_loses_the_oldest_counted_and_others_lose_nothing(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "QUEUE_LEN_MAX", 50)
    monkeypatch.setattr(stream_module, "EVENTS_PER_S_MAX", 1_000_000)
    padding = "x" * 10_000
    total = 4_000
    # One who never reads: his socket's buffers fill, then his queue.
    async with watch(site) as slow, watch(site) as quick:
        slow.transport.pause_reading()
        engine = await tap(site)
        seen = 0
        for number in range(total):
            engine.put([{**event("telemetry", "t1", number), "padding": padding}])
            if number % 20 == 19:
                while seen <= number:
                    seen += len((await received(quick))["events"])
        assert seen == total
        slow.transport.resume_reading()
        dropped = got = 0
        last = -1
        while last < total - 1:
            message = await received(slow)
            dropped += message["dropped"]
            got += len(message["events"])
            numbers = [told["number"] for told in message["events"]]
            assert numbers == sorted(numbers)
            last = max([last, *numbers])
        assert dropped > 0
        assert dropped + got == total
    page = (await site.http.get(f"http://{site.platform.addresses['metrics']}/metrics")).text
    assert f"flux_stream_events_dropped_total {float(dropped)}" in page


async def test_queue_of_a_watcher_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "QUEUE_BYTES_MAX", 100)
    lost: list[int] = []
    watcher = Watcher((1, ()), [], lost.append)
    for number in range(10):
        watcher.put(json.dumps({"n": number, "x": "y" * 30}).encode())
    assert sum(lost) == 8
    message = json.loads(await watcher.next_message())
    assert message["dropped"] == 8
    assert [told["n"] for told in message["events"]] == [8, 9]
