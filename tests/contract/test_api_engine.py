"""The API over the engine itself: what its double promises in the other tests holds for it too.

Messages come in over HTTP; MQTT has tests of its own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from fluxhybrid.app import Platform, _new_platform
from fluxhybrid.config import Config
from tests.contract.test_api_resources import made, problem
from tests.contract.test_api_webhooks import receiver, status

pytest.importorskip("fluxhybrid._native", reason="the extension module is not built")

TOPIC = "v1/devices/t1/telemetry"


def config_in(directory: Path) -> Config:
    return Config.model_validate(
        {
            "data_dir": directory,
            "server": {"port": 0},
            "metrics": {"port": 0},
            "devices": {"port": 0},
            "mqtt": {"port": 0},
            "engine": {"log_segment_bytes": "8MiB", "log_inflight_bytes_max": "4MiB"},
            "webhook": {"backoff_min": "10ms", "backoff_max": "50ms"},
        }
    )


class Site:
    def __init__(self, platform: Platform, http: httpx.AsyncClient, token: str) -> None:
        self.platform = platform
        self.http = http
        self.token = token

    async def send(self, **values: Any) -> None:
        body = {"topic": TOPIC, "payload": values, "qos": 1}
        answer = await self.http.post("/api/v1/messages", json=body)
        assert answer.status_code == 204, answer.text

    async def rule(self, script: str, *actions: dict[str, Any], **members: Any) -> Any:
        body = {"name": "r", "trigger_script": script, "actions": list(actions), **members}
        return await made(await self.http.post("/api/v1/rules", json=body))

    async def items(self, path: str) -> list[Any]:
        answer = await self.http.get(f"/api/v1/{path}")
        assert answer.status_code == 200, answer.text
        found: list[Any] = answer.json()["items"]
        return found


async def started(directory: Path, token: str | None = None) -> Site:
    platform = _new_platform(config_in(directory), headless=False, demo=False)
    await platform.start()
    token = token or platform.first_token or ""
    http = httpx.AsyncClient(
        base_url=f"http://{platform.addresses['api']}",
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
    )
    return Site(platform, http, token)


async def stopped(site: Site) -> None:
    await site.http.aclose()
    await site.platform.stop()


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    """What the look finds, once it finds something."""
    async with asyncio.timeout(20):
        while not (found := await look()):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return found


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = await started(tmp_path)
    product = await made(await site.http.post("/api/v1/products", json={"key": "thermometer"}))
    body = {"key": "t1", "product_id": product["id"]}
    await made(await site.http.post("/api/v1/devices", json=body))
    yield site
    await stopped(site)


async def test_message_becomes_value_firing_and_alarm(site: Site) -> None:
    rule = await site.rule("temperature > 30", {"type": "RaiseAlarm", "alarm": "overheat"})
    await site.send(temperature=31.5)
    (alarm,) = await until(lambda: site.items("alarms?device=t1"))
    assert (alarm["alarm"], alarm["severity"], alarm["state"]) == ("overheat", "major", "active")
    (firing,) = await site.items(f"firings?rule_id={rule['id']}")
    assert firing["id"] == alarm["firing_id"]
    assert firing["values"] == {"temperature": 31.5}
    latest = (await site.http.get("/api/v1/devices/t1/latest")).json()
    assert latest["values"]["temperature"]["value"] == 31.5
    path = f"/api/v1/alarms/{alarm['id']}"
    acknowledged = (await site.http.post(f"{path}/acknowledge")).json()
    assert acknowledged["acknowledged_by"] == "first start"
    assert (await site.http.post(f"{path}/clear")).json()["state"] == "cleared"
    problem(await site.http.post(f"{path}/acknowledge"), 409, "alarm.not_active")


async def test_rule_that_does_not_compile_is_refused_with_its_place(site: Site) -> None:
    body = {"name": "r", "trigger_script": "let a = 1;\ntemperature > ("}
    answer = await site.http.post("/api/v1/rules", json=body)
    found = problem(answer, 422, "rule.compile")
    assert (found["pointer"], found["line"]) == ("/trigger_script", 2)
    assert await site.items("rules") == []


async def test_reference_to_nothing_is_refused_with_its_place(site: Site) -> None:
    unknown = "01900000-0000-7000-8000-000000000000"
    body = {"name": "r", "trigger_script": "true", "sources": {"products": [unknown]}}
    answer = await site.http.post("/api/v1/rules", json=body)
    assert answer.status_code == 422
    assert answer.json()["pointer"] == "/sources/products/0"


async def test_every_action_that_the_api_takes_the_engine_takes(site: Site) -> None:
    from fluxhybrid.actions import clear_alarm, command, publish, raise_alarm, webhook

    for module in (clear_alarm, command, publish, raise_alarm, webhook):
        for example in module.EXAMPLES:
            await site.rule("false", example)


async def test_rule_is_tried_as_it_would_run(site: Site) -> None:
    script = (
        'print("hello"); publish("a/b", #{x: 1}); send_command("t1", "close", #{speed: 2}); '
        "msg.values.temperature > 30"
    )
    body = {"trigger_script": script, "message": {"values": {"temperature": 31}}}
    outcome = (await site.http.post("/api/v1/rules:test", json=body)).json()
    assert outcome["triggered"] is True
    assert [effect["type"] for effect in outcome["effects"]] == ["publish", "command"]
    assert outcome["logs"] == [{"level": "info", "text": "hello"}]
    body = {"trigger_script": "loop {}"}
    outcome = (await site.http.post("/api/v1/rules:test", json=body)).json()
    assert outcome["triggered"] is False
    assert outcome["error"]["code"].startswith("rule.")
    assert await site.items("commands") == []


async def test_webhook_of_a_rule_arrives_with_its_firing(site: Site) -> None:
    async with receiver(status(200)) as target:
        rule = await site.rule("temperature > 30", {"type": "webhook", "url": target.url})
        await site.send(temperature=31.5)
        async with asyncio.timeout(20):
            while not target.requests:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        headers, body = target.requests[0]
        (firing,) = await site.items(f"firings?rule_id={rule['id']}")
        assert headers["x-flux-firing-id"] == firing["id"]
        assert json.loads(body)["values"] == {"temperature": 31.5}
        metrics = f"http://{site.platform.addresses['metrics']}/metrics"

        async def delivered() -> bool:
            page = (await site.http.get(metrics)).text
            return 'flux_webhooks_total{outcome="delivered"} 1' in page

        await until(delivered)


async def test_webhook_that_waited_through_a_restart_arrives_under_the_same_key(
    tmp_path: Path,
) -> None:
    site = await started(tmp_path)
    async with receiver(status(500)) as target:
        product = await made(await site.http.post("/api/v1/products", json={"key": "p"}))
        body = {"key": "t1", "product_id": product["id"]}
        await made(await site.http.post("/api/v1/devices", json=body))
        await site.rule("temperature > 30", {"type": "webhook", "url": target.url})
        await site.send(temperature=31.5)
        async with asyncio.timeout(20):
            while not target.requests:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        await stopped(site)
        target.answer = status(200)
        before = len(target.requests)
        site = await started(tmp_path, site.token)
        try:
            async with asyncio.timeout(20):
                while len(target.requests) == before:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
        finally:
            await stopped(site)
        assert len({headers["idempotency-key"] for headers, _ in target.requests}) == 1


async def test_command_is_followed_to_its_end(site: Site) -> None:
    body = {"command": "close", "params": {"speed": 2}, "max_age_ms": 1}
    answer = await made(await site.http.post("/api/v1/devices/t1/commands", json=body), 202)

    async def over() -> Any:
        command = (await site.http.get(f"/api/v1/commands/{answer['id']}")).json()
        return command if command["status"] == "expired" else None

    command = await until(over)
    assert (command["device_id"], command["params"]) == ("t1", {"speed": 2})
    assert command["sent"] is None


async def test_engine_lists_go_on_behind_their_cursor(site: Site) -> None:
    await site.rule("temperature > 30", {"type": "raise_alarm", "alarm": "overheat"})
    for number in range(5):
        await site.send(temperature=31 + number)

    async def five() -> bool:
        return len(await site.items("firings")) == 5

    await until(five)
    seen: list[str] = []
    cursor = ""
    page: dict[str, Any] = {}
    for _ in range(3):
        page = (await site.http.get(f"/api/v1/firings?limit=2{cursor}")).json()
        seen += [firing["id"] for firing in page["items"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert page["next_cursor"] is None
    assert len(set(seen)) == len(seen) == 5


async def test_live_stream_tells_what_the_engine_does(site: Site) -> None:
    await site.rule("temperature > 30", {"type": "raise_alarm", "alarm": "overheat"})
    url = f"ws://{site.platform.addresses['api']}/api/v1/stream?kind=telemetry&kind=alarm&device=t1"
    headers = {"Authorization": f"Bearer {site.token}"}
    async with connect(url, additional_headers=headers, proxy=None) as socket:
        seen: set[str] = set()
        async with asyncio.timeout(20):
            # The tap opens when the first watcher has joined, a moment after he was let in.
            while seen != {"telemetry", "alarm"}:
                await site.send(temperature=31.5)
                message = json.loads(await socket.recv())
                seen |= {event["kind"] for event in message["events"]}


async def test_configuration_and_data_survive_a_restart(tmp_path: Path) -> None:
    site = await started(tmp_path)
    product = await made(await site.http.post("/api/v1/products", json={"key": "p"}))
    body = {"key": "t1", "product_id": product["id"]}
    await made(await site.http.post("/api/v1/devices", json=body))
    await site.send(temperature=7)

    async def known() -> Any:
        return (await site.http.get("/api/v1/devices/t1/latest")).json()["values"]

    await until(known)
    await stopped(site)
    site = await started(tmp_path, site.token)
    try:
        assert (await until(known))["temperature"]["value"] == 7
        report = (await site.http.get("/api/v1/status")).json()
        assert report["generations"]["stored"] == report["generations"]["in_force"]
        assert report["engine"]["status"] == "ok"
    finally:
        await stopped(site)


async def test_data_directory_in_use_is_refused_before_the_database_is_touched(
    site: Site, tmp_path: Path
) -> None:
    generation = site.platform.engine.generation()
    other = _new_platform(config_in(tmp_path), headless=False, demo=False)
    with pytest.raises(Exception, match=r"lock|use") as caught:
        await other.start()
    assert getattr(caught.value, "code", "").startswith("log.")
    answer = await site.http.post("/api/v1/products", json={"key": "another"})
    assert answer.headers["x-flux-generation"] == str(generation + 1)


async def test_message_that_comes_to_nothing_is_listed_as_refused_with_its_cause(
    site: Site,
) -> None:
    body = {"topic": "v1/devices/nobody/telemetry", "payload": {"t": 1}, "qos": 1}
    for _ in range(2):
        assert (await site.http.post("/api/v1/messages", json=body)).status_code == 204
    await site.http.post("/api/v1/messages", json={"topic": TOPIC, "payload": "no JSON", "qos": 1})
    found = await until(lambda: _refused(site, 2))
    unknown, undecodable = (
        next(item for item in found if item["code"] == code)
        for code in ("topic.unknown_device", "payload.undecodable")
    )
    assert (unknown["attempt"], unknown["source"], unknown["count"]) == ("message", "api", 2)
    assert unknown["topic"] == "v1/devices/nobody/telemetry"
    assert unknown["first"] <= unknown["at"]
    assert undecodable["reason"]
    listed = (await site.http.get("/api/v1/refusals?limit=1")).json()
    assert (len(listed["items"]), listed["unlisted"]) == (1, 0)
    assert listed["items"][0]["code"] == "payload.undecodable"


async def _refused(site: Site, count: int) -> list[Any] | None:
    found = await site.items("refusals")
    return found if len(found) == count and any(one["count"] == 2 for one in found) else None


async def test_status_tells_what_flows_and_what_it_takes(site: Site) -> None:
    before = (await site.http.get("/api/v1/status")).json()
    await site.send(temperature=1)
    after = (await site.http.get("/api/v1/status")).json()
    grown = after["figures"]["messages_in_total"] - before["figures"]["messages_in_total"]
    assert grown == 1
    assert after["figures"]["devices"] == 1
    assert after["figures"]["log_bytes"] > 0
    assert after["process"]["resident_bytes"] > 10 * 2**20
    assert after["process"]["disk_free_bytes"] > 0
    assert after["site"]
