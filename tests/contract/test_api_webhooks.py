"""Webhooks, against receivers that are dead, slow, wrong, or huge."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fluxhybrid.actions.outbox import OutboxRunner
from fluxhybrid.actions.webhook import QUEUE_LEN_MAX, WebhookRunner
from fluxhybrid.config import WebhookConfig
from tests.contract.engine_double import EngineDouble

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]

QUICK = WebhookConfig.model_validate(
    {"timeout": "300ms", "retries_max": 2, "backoff_min": "10ms", "backoff_max": "20ms"}
)


class Receiver:
    """A web server on a private port: notes requests, and answers as it is told."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.url = ""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[Any]] = set()

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.requests.append((headers, body))
                await self.answer(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self._open.discard(task)


def status(code: int, *extra: str) -> Answer:
    lines = [f"HTTP/1.1 {code} X", "Content-Length: 0", *extra]

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    return answer


async def silence(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def huge(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def trickle(writer: asyncio.StreamWriter) -> None:
    # Never idle long enough for a timeout between two bytes.
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


@asynccontextmanager
async def receiver(answer: Answer) -> AsyncIterator[Receiver]:
    made = Receiver(answer)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


class Sending:
    def __init__(self, config: WebhookConfig) -> None:
        self.engine = EngineDouble()
        self.attempts = 0
        self.webhooks = WebhookRunner(self.engine, config)
        self.runner = OutboxRunner(self.engine, {"webhook": lambda: self.webhooks})

    def put(self, url: str, *, max_age_ms: int = 60_000, **action: Any) -> str:
        entry_id = str(uuid.uuid4())
        self.engine.put_outbox(
            {
                "id": entry_id,
                "firing_id": f"firing-of-{entry_id}",
                "action": {"type": "webhook", "url": url, "headers": {}, **action},
                "body": {"values": {"temperature": 31.5}},
                "max_age_ms": max_age_ms,
                "ts": time.time_ns() // 1_000_000,
            }
        )
        return entry_id

    async def outcome(self, entry_id: str) -> tuple[bool, str]:
        """How an entry ended; waits for it."""
        async with asyncio.timeout(20):
            while True:
                for done, ok, detail, attempts in self.engine.completed:
                    if done == entry_id:
                        self.attempts = attempts
                        return ok, detail
                await asyncio.sleep(0.002)


@asynccontextmanager
async def sending(config: WebhookConfig = QUICK) -> AsyncIterator[Sending]:
    made = Sending(config)
    made.runner.start()
    try:
        yield made
    finally:
        await made.runner.stop()


async def test_webhook_is_delivered_once_with_its_ids() -> None:
    async with receiver(status(204)) as target, sending() as sent:
        entry = sent.put(target.url, headers={"X-Site": "plant-7"})
        assert await sent.outcome(entry) == (True, "HTTP 204")
        ((headers, body),) = target.requests
        assert headers["x-flux-firing-id"] == f"firing-of-{entry}"
        assert headers["idempotency-key"] == entry
        assert headers["x-site"] == "plant-7"
        assert headers["content-type"] == "application/json"
        assert json.loads(body) == {"values": {"temperature": 31.5}}


async def test_failing_receiver_is_tried_again_under_the_same_key() -> None:
    async with receiver(status(500)) as target, sending() as sent:
        entry = sent.put(target.url)
        assert await sent.outcome(entry) == (False, "HTTP 500")
        assert len(target.requests) == sent.attempts == 1 + QUICK.retries_max
        assert {headers["idempotency-key"] for headers, _ in target.requests} == {entry}
        assert sent.webhooks.outcomes["retried"] == 2


async def test_receiver_that_recovers_gets_it_after_all() -> None:
    async with receiver(status(503)) as target, sending() as sent:
        entry = sent.put(target.url)
        while not target.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        target.answer = status(200)
        assert await sent.outcome(entry) == (True, "HTTP 200")


async def test_refusal_is_final() -> None:
    async with receiver(status(400)) as target, sending() as sent:
        assert await sent.outcome(sent.put(target.url)) == (False, "HTTP 400")
        assert len(target.requests) == 1


async def test_redirect_is_not_followed() -> None:
    async with receiver(status(200)) as elsewhere:
        redirect = status(302, f"Location: {elsewhere.url}")
        async with receiver(redirect) as target, sending() as sent:
            ok, detail = await sent.outcome(sent.put(target.url))
            assert (ok, detail) == (False, "HTTP 302: redirects are not followed")
            assert elsewhere.requests == []


async def test_huge_answer_is_cut_off() -> None:
    async with receiver(huge) as target, sending() as sent:
        assert await sent.outcome(sent.put(target.url)) == (True, "HTTP 200")


async def test_trickling_answer_ends_with_the_attempts_time() -> None:
    async with receiver(trickle) as target, sending() as sent:
        assert await sent.outcome(sent.put(target.url)) == (False, "no answer in time")


async def test_dead_and_silent_destinations_hold_nobody_up() -> None:
    slow = WebhookConfig.model_validate({"timeout": "5s", "destinations_max": 4})
    async with receiver(silence) as silent, receiver(status(200)) as good, sending(slow) as sent:
        for number in range(3):
            for _ in range(QUEUE_LEN_MAX * 3):
                sent.put(f"{silent.url}/{number}")
        for _ in range(QUEUE_LEN_MAX * 3):
            sent.put("http://127.0.0.1:1/nobody-listens")
        entries = [sent.put(good.url) for _ in range(50)]
        for entry in entries:
            assert await sent.outcome(entry) == (True, "HTTP 200")
        # In memory there are no more entries than the queues hold; the ids of the others wait.
        for destination in sent.webhooks._destinations.values():
            assert len(destination.queue) <= QUEUE_LEN_MAX


async def test_one_destination_gets_its_webhooks_in_order_however_many_there_are() -> None:
    async with receiver(status(200)) as target, sending() as sent:
        entries = [sent.put(target.url) for _ in range(QUEUE_LEN_MAX * 8)]
        await sent.outcome(entries[-1])
        assert [headers["idempotency-key"] for headers, _ in target.requests] == entries


async def test_entry_that_is_too_old_is_recorded_and_not_sent() -> None:
    async with receiver(status(200)) as target, sending() as sent:
        entry = sent.put(target.url, max_age_ms=0)
        assert await sent.outcome(entry) == (False, "expired")
        assert target.requests == []


async def test_entry_grows_too_old_while_its_receiver_fails() -> None:
    config = WebhookConfig.model_validate(
        {"retries_max": 1000, "backoff_min": "10ms", "backoff_max": "10ms"}
    )
    async with receiver(status(500)) as target, sending(config) as sent:
        ok, detail = await sent.outcome(sent.put(target.url, max_age_ms=150))
        assert (ok, detail) == (False, "expired; HTTP 500")
        assert target.requests


async def test_circuit_is_seen_to_open_and_close() -> None:
    config = WebhookConfig.model_validate(
        {"retries_max": 1000, "backoff_min": "10ms", "backoff_max": "20ms"}
    )
    async with receiver(status(500)) as target, sending(config) as sent:
        entry = sent.put(f"{target.url}?key=secret")
        async with asyncio.timeout(10):
            while sent.webhooks.circuits()[:1] == [] or (  # noqa: ASYNC110
                sent.webhooks.circuits()[0]["circuit"] != "open"
            ):
                await asyncio.sleep(0.001)
        (seen,) = sent.webhooks.circuits()
        assert seen["destination"] == target.url
        assert seen["waiting"] == 1
        assert seen["failures"] >= 5
        target.answer = status(200)
        assert await sent.outcome(entry) == (True, "HTTP 200")
        (seen,) = sent.webhooks.circuits()
        assert (seen["circuit"], seen["failures"], seen["waiting"]) == ("closed", 0, 0)


async def test_retry_after_is_heeded_within_the_longest_wait() -> None:
    config = WebhookConfig.model_validate(
        {"retries_max": 1, "backoff_min": "10ms", "backoff_max": "200ms"}
    )
    times: list[float] = []

    async def later(writer: asyncio.StreamWriter) -> None:
        times.append(time.monotonic())
        await status(429, "Retry-After: 3600")(writer)

    async with receiver(later) as target, sending(config) as sent:
        assert await sent.outcome(sent.put(target.url)) == (False, "HTTP 429")
        assert times[1] - times[0] >= 0.19


@pytest.mark.parametrize("url", ["http://", "http://[", "http://127.0.0.1:99999/", "nonsense", ""])
async def test_url_that_cannot_be_used_is_given_up(url: str) -> None:
    async with sending() as sent:
        ok, detail = await sent.outcome(sent.put(url))
        assert not ok
        assert detail


async def test_unknown_action_is_given_up() -> None:
    async with sending() as sent:
        entry = sent.put("http://127.0.0.1/", type="telepathy")
        ok, detail = await sent.outcome(entry)
        assert (ok, detail) == (False, "nothing here runs actions of type 'telepathy'")


async def test_cookies_are_not_kept() -> None:
    async with receiver(status(200, "Set-Cookie: a=b")) as target, sending() as sent:
        await sent.outcome(sent.put(target.url))
        await sent.outcome(sent.put(target.url))
        assert all("cookie" not in headers for headers, _ in target.requests)


async def test_stopping_reports_nothing_so_that_entries_come_again() -> None:
    async with receiver(silence) as target:
        async with sending(WebhookConfig()) as sent:
            entry = sent.put(target.url)
            while not target.requests:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert sent.engine.completed == []
        assert entry in sent.engine.outbox
