"""Products, devices, accounts, rules, alarms, commands over real HTTP."""

from __future__ import annotations

import hashlib
import sqlite3
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio

from tests.contract.api_fixture import Running, running


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, site={"name": "plant-7", "env": {"limit": 3}}) as made:
        yield made


async def made(answer: httpx.Response, status: int = 201) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


async def a_product(site: Running, key: str = "thermometer") -> Any:
    return await made(await site.http.post("/api/v1/products", json={"key": key}))


async def a_device(site: Running, key: str, product_id: str) -> Any:
    body = {"key": key, "product_id": product_id, "tags": {"line": "3"}}
    return await made(await site.http.post("/api/v1/devices", json=body))


def problem(answer: httpx.Response, status: int, code: str) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"] == f"urn:fluxhybrid:error:{code}"
    return body


async def test_change_is_stored_and_in_force_when_it_is_answered(site: Running) -> None:
    before = site.engine.generation()
    answer = await site.http.post("/api/v1/products", json={"key": "thermometer"})
    product = await made(answer)
    assert site.engine.generation() == before + 1
    assert answer.headers["x-flux-generation"] == str(before + 1)
    assert answer.headers["x-flux-generation-in-force"] == str(before + 1)
    (entry,) = site.engine.document["products"]
    assert entry["id"] == product["id"]
    assert entry["decode"] == {
        "type": "json", "device": None, "ts": None, "ts_unit": "ms", "values": None,
    }  # fmt: skip
    assert site.engine.document["env"]["user"] == {"limit": 3}
    assert site.engine.document["tenants"] == [{"id": 1, "name": "default"}]


async def test_product_lives_from_post_to_delete(site: Running) -> None:
    product = await a_product(site)
    path = f"/api/v1/products/{product['id']}"
    assert (await site.http.get("/api/v1/products/thermometer")).json() == product
    patch = {"name": "Thermometer", "transform": "msg", "metadata": {"unit": "°C"}}
    changed = (await site.http.patch(path, json=patch)).json()
    assert changed["name"] == "Thermometer"
    assert changed["key"] == "thermometer"
    assert (await site.http.patch(path, json={"transform": None})).json()["transform"] is None
    assert (await site.http.get("/api/v1/products")).json()["items"][0]["metadata"] == {
        "unit": "°C"
    }
    answer = await site.http.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert site.engine.document["products"] == []
    problem(await site.http.get(path), 404, "product.not_found")
    problem(await site.http.delete(path), 404, "product.not_found")


async def test_a_product_s_link_is_stored_given_to_the_engine_and_taken_away(site: Running) -> None:
    link = {"framing": {"type": "delimiter", "delimiter": "\n"}, "poll": []}
    body = {"key": "dtu", "link": link}
    product = await made(await site.http.post("/api/v1/products", json=body))
    assert product["link"] == link
    assert site.engine.document["products"][0]["link"] == link
    path = f"/api/v1/products/{product['id']}"
    assert (await site.http.patch(path, json={"link": None})).json()["link"] is None
    assert (await site.http.get(path)).json()["link"] is None
    assert site.engine.document["products"][0]["link"] is None


async def test_key_that_is_left_out_is_the_id(site: Running) -> None:
    product = await made(await site.http.post("/api/v1/products", json={}))
    assert product["key"] == product["name"] == product["id"]


async def test_taken_key_is_a_conflict_that_changes_nothing(site: Running) -> None:
    product = await a_product(site)
    generation = site.engine.generation()
    answer = await site.http.post("/api/v1/products", json={"key": "thermometer"})
    assert problem(answer, 409, "product.key_taken")["pointer"] == "/key"
    other = await a_product(site, "valve")
    answer = await site.http.patch(f"/api/v1/products/{other['id']}", json={"key": product["key"]})
    problem(answer, 409, "product.key_taken")
    assert site.engine.generation() == generation + 1


async def test_product_with_devices_stays(site: Running) -> None:
    product = await a_product(site)
    await a_device(site, "t1", product["id"])
    answer = await site.http.delete("/api/v1/products/thermometer")
    assert "'t1'" in problem(answer, 409, "product.in_use")["detail"]


async def test_device_gets_a_secret_that_is_shown_once_and_stored_as_a_hash(
    site: Running, tmp_path: Path
) -> None:
    product = await a_product(site)
    device = await a_device(site, "t1", product["id"])
    digest = hashlib.sha256(device["secret"].encode()).hexdigest()
    assert site.engine.document["devices"][0]["secret_sha256"] == digest
    shown = (await site.http.get("/api/v1/devices/t1")).json()
    assert "secret" not in shown
    assert shown["has_secret"] is True
    rotated = await made(await site.http.post("/api/v1/devices/t1/secret"))
    assert rotated["secret"] != device["secret"]
    digest = hashlib.sha256(rotated["secret"].encode()).hexdigest()
    assert site.engine.document["devices"][0]["secret_sha256"] == digest
    for file in tmp_path.iterdir():  # noqa: ASYNC240
        if file.is_file():
            assert rotated["secret"].encode() not in file.read_bytes()


async def test_device_is_shown_with_the_state_the_engine_knows(site: Running) -> None:
    product = await a_product(site)
    await a_device(site, "t1", product["id"])
    site.engine.online["t1"] = 1_700_000_000_000
    shown = (await site.http.get("/api/v1/devices/t1")).json()
    assert (shown["status"], shown["last_online"]) == ("online", 1_700_000_000_000)
    assert shown["tags"] == {"line": "3"}
    patch = {"enabled": False, "tags": {}}
    changed = (await site.http.patch("/api/v1/devices/t1", json=patch)).json()
    assert (changed["enabled"], changed["tags"]) == (False, {})
    assert site.engine.document["devices"][0]["enabled"] is False


async def test_device_of_an_unknown_product_is_refused(site: Running) -> None:
    body = {"key": "t1", "product_id": str(uuid.uuid4())}
    answer = await site.http.post("/api/v1/devices", json=body)
    assert problem(answer, 422, "device.product_unknown")["pointer"] == "/product_id"


async def test_devices_and_accounts_share_one_space_of_names(site: Running) -> None:
    product = await a_product(site)
    await a_device(site, "t1", product["id"])
    answer = await site.http.post("/api/v1/principals", json={"username": "t1"})
    assert problem(answer, 409, "device.key_taken")["pointer"] == "/username"
    await made(await site.http.post("/api/v1/principals", json={"username": "dashboard"}))
    body = {"key": "dashboard", "product_id": product["id"]}
    problem(await site.http.post("/api/v1/devices", json=body), 409, "principal.username_taken")
    answer = await site.http.patch("/api/v1/devices/t1", json={"key": "dashboard"})
    problem(answer, 409, "principal.username_taken")


async def test_list_goes_on_behind_its_cursor(site: Running) -> None:
    product = await a_product(site)
    other = await a_product(site, "valve")
    for number in range(5):
        await a_device(site, f"t{number}", product["id"])
    await a_device(site, "v0", other["id"])
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(4):
        params = {
            "limit": "2",
            "product_id": product["id"],
            **({"cursor": cursor} if cursor else {}),
        }
        page = (await site.http.get("/api/v1/devices", params=params)).json()
        seen += [device["key"] for device in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["t0", "t1", "t2", "t3", "t4"]


async def test_account_has_grants_and_a_secret(site: Running) -> None:
    body = {"username": "dashboard", "publish": ["plant/+/set"], "subscribe": ["#"]}
    principal = await made(await site.http.post("/api/v1/principals", json=body))
    (entry,) = site.engine.document["principals"]
    assert entry["publish"] == ["plant/+/set"]
    assert entry["secret_sha256"] == hashlib.sha256(principal["secret"].encode()).hexdigest()
    path = "/api/v1/principals/dashboard"
    assert (await site.http.patch(path, json={"subscribe": []})).json()["subscribe"] == []
    rotated = await made(await site.http.post(f"{path}/secret"))
    assert rotated["secret"] != principal["secret"]
    assert (await site.http.get("/api/v1/principals")).json()["items"][0]["has_secret"] is True
    assert (await site.http.delete(path)).status_code == 204
    assert site.engine.document["principals"] == []


async def test_every_problem_of_a_rule_is_told_with_its_place(site: Running) -> None:
    body = {
        "name": "hot",
        "trigger_script": "a > (\n  b",
        "sources": {"products": [str(uuid.uuid4())], "devices": [str(uuid.uuid4())]},
    }
    answer = await site.http.post("/api/v1/rules", json=body)
    found = problem(answer, 422, "rule.compile")
    assert (found["pointer"], found["line"], found["column"]) == ("/trigger_script", 1, 1)
    assert [item["pointer"] for item in found["problems"]] == [
        "/trigger_script",
        "/sources/products/0",
        "/sources/devices/0",
    ]
    assert site.engine.document["rules"] == []
    assert (await site.http.get("/api/v1/rules")).json()["items"] == []


async def test_problem_of_a_device_points_into_what_was_sent(site: Running) -> None:
    product = await a_product(site)
    # The engine lost the product behind our back.
    site.engine.document["products"] = []
    body = {"key": "t1", "product_id": product["id"]}
    answer = await site.http.post("/api/v1/devices", json=body)
    assert problem(answer, 422, "config.reference")["pointer"] == "/product_id"


async def test_rule_keeps_its_versions(site: Running) -> None:
    body: dict[str, Any] = {
        "name": "hot",
        "trigger_script": "temperature > 30",
        "actions": [{"type": "RaiseAlarm", "alarm": "overheat"}],
    }
    rule = await made(await site.http.post("/api/v1/rules", json=body))
    assert (rule["version"], rule["action_type"]) == (1, "raise_alarm")
    path = f"/api/v1/rules/{rule['id']}"
    changed = (await site.http.patch(path, json={"trigger_script": "temperature > 40"})).json()
    assert (changed["version"], changed["name"]) == (2, "hot")
    assert site.engine.document["rules"][0]["version"] == 2
    versions = (await site.http.get(f"{path}/versions")).json()["items"]
    assert [version["version"] for version in versions] == [2, 1]
    assert versions[1]["rule"]["trigger_script"] == "temperature > 30"
    changed = (await site.http.patch(path, json={"actions": []})).json()
    assert (changed["actions"], changed["action_type"]) == ([], None)
    assert (await site.http.delete(path)).status_code == 204
    problem(await site.http.get(f"{path}/versions"), 404, "rule.not_found")


async def test_rules_are_listed_by_what_they_do(site: Running) -> None:
    for name, action in (("a", {"type": "clear_alarm", "alarm": "x"}), ("b", None)):
        body = {
            "name": name,
            "trigger_script": "true",
            "enabled": action is None,
            "actions": [action] if action else [],
        }
        await made(await site.http.post("/api/v1/rules", json=body))
    for query, names in (
        ("action_type=clear_alarm", ["a"]),
        ("enabled=true", ["b"]),
        ("enabled=false&action_type=webhook", []),
    ):
        found = (await site.http.get(f"/api/v1/rules?{query}")).json()["items"]
        assert [rule["name"] for rule in found] == names


async def test_spelling_of_an_action_type_does_not_matter(site: Running) -> None:
    for spelling in ("webhook", "Webhook", "WEBHOOK"):
        action = {"type": spelling, "url": "https://example.org/"}
        body = {"name": "w", "trigger_script": "true", "actions": [action]}
        rule = await made(await site.http.post("/api/v1/rules", json=body))
        assert rule["action_type"] == "webhook"
        assert rule["actions"][0]["max_age_ms"] == 86_400_000


async def test_rule_can_be_tried_without_effects(site: Running) -> None:
    generation = site.engine.generation()
    body = {"trigger_script": "temperature > 30", "message": {"values": {"temperature": 31}}}
    answer = await site.http.post("/api/v1/rules:test", json=body)
    assert answer.json() == {
        "triggered": True,
        "effects": [],
        "logs": [],
        "error": None,
        "missing_value": False,
        "operations": 1,
    }
    answer = await site.http.post("/api/v1/rules:test", json={"trigger_script": "a)"})
    found = problem(answer, 422, "rule.compile")
    assert (found["line"], found["column"]) == (1, 2)
    assert site.engine.generation() == generation


async def test_engine_that_refuses_a_change_is_given_the_whole(site: Running) -> None:
    site.engine.refuse_deltas = True
    product = await a_product(site)
    assert [entry["id"] for entry in site.engine.document["products"]] == [product["id"]]
    status = (await site.http.get("/api/v1/status")).json()
    assert status["generations"]["stored"] == status["generations"]["in_force"]


async def test_reload_mends_an_engine_that_forgot(site: Running) -> None:
    await a_product(site)
    site.engine.document["products"] = []
    answer = (await site.http.post("/api/v1/rules:reload")).json()
    assert answer["stored_generation"] == answer["generation_in_force"]
    assert len(site.engine.document["products"]) == 1


async def test_configuration_survives_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as first:
        product = await a_product(first)
        await a_device(first, "t1", product["id"])
        token, generation = first.token, first.engine.generation()
    async with running(tmp_path) as second:
        assert second.platform.first_token is None
        assert [entry["key"] for entry in second.engine.document["devices"]] == ["t1"]
        assert second.engine.generation() > generation
        headers = {"Authorization": f"Bearer {token}"}
        answer = await second.http.get("/api/v1/devices/t1", headers=headers)
        assert answer.status_code == 200


async def test_engine_ahead_of_the_database_is_not_left_behind(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        # A database restored from a backup knows an older generation than the engine.
        site.engine.document["generation"] = 50
        await site.http.post("/api/v1/rules:reload")
        answer = await site.http.post("/api/v1/products", json={"key": "a"})
        assert answer.headers["x-flux-generation"] == "52"
        assert site.engine.generation() == 52


async def test_latest_values_are_those_of_the_engine(site: Running) -> None:
    product = await a_product(site)
    device = await a_device(site, "t1", product["id"])
    empty = (await site.http.get("/api/v1/devices/t1/latest")).json()
    assert (empty["ts"], empty["values"]) == (None, {})
    site.engine.latest_values[1, "t1"] = {
        "ts": 5,
        "values": {"temperature": {"value": 31.5, "ts": 5}},
    }
    for reference in ("t1", device["id"]):
        latest = (await site.http.get(f"/api/v1/devices/{reference}/latest")).json()
        assert latest["values"] == {"temperature": {"value": 31.5, "ts": 5}}
        assert latest["device_id"] == "t1"
    problem(await site.http.get("/api/v1/devices/nobody/latest"), 404, "device.not_found")


async def test_last_values_of_all_devices_come_in_pages(site: Running) -> None:
    product = await a_product(site)
    keys = [f"t{number}" for number in range(5)]
    for key in keys:
        await a_device(site, key, product["id"])
        site.engine.latest_values[1, key] = {"ts": 5, "values": {"v": {"value": key, "ts": 5}}}
    found: list[Any] = []
    cursor = ""
    while True:
        page = (await site.http.get(f"/api/v1/latest?limit=2{cursor}")).json()
        found += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert [one["device_id"] for one in found] == keys
    assert [one["values"]["v"]["value"] for one in found] == keys


async def test_refusals_are_those_of_the_engine(site: Running) -> None:
    refusal = {
        "id": "0a",
        "attempt": "connect",
        "source": None,
        "username": "thermo-9",
        "client_id": "c",
        "address": "127.0.0.1:5",
        "topic": None,
        "code": "auth.unknown_name",
        "reason": "the name is not known",
        "count": 2,
        "first": 1,
        "at": 2,
    }
    site.engine.refusal_records.append(refusal)
    listed = (await site.http.get("/api/v1/refusals")).json()
    assert listed == {"items": [refusal], "unlisted": 3}
    wrong = await site.http.get("/api/v1/refusals?limit=0")
    problem(wrong, 422, "request.greater_than_equal")
    refused = await site.http.get("/api/v1/refusals", headers={"Authorization": ""})
    problem(refused, 401, "auth.missing")


async def test_firings_come_in_pages(site: Running) -> None:
    rule = str(uuid.uuid4())
    for number in range(5):
        site.engine.put_firing(f"{rule}.1.1-{number}.0", rule, "t1")
    first = (await site.http.get("/api/v1/firings?limit=3")).json()
    cursor = first["next_cursor"]
    second = (await site.http.get(f"/api/v1/firings?limit=3&cursor={cursor}")).json()
    assert [f["id"] for f in first["items"] + second["items"]] == [
        record["id"] for record in site.engine.firing_records
    ]
    assert second["next_cursor"] is None
    none = await site.http.get(f"/api/v1/firings?rule_id={uuid.uuid4()}")
    assert none.json()["items"] == []
    problem(await site.http.get("/api/v1/firings?cursor=x"), 422, "firing.cursor")


async def test_alarm_is_acknowledged_and_cleared_by_name(site: Running) -> None:
    alarm_id = str(uuid.uuid4())
    site.engine.put_alarm(alarm_id, "t1")
    path = f"/api/v1/alarms/{alarm_id}"
    answer = (await site.http.post(f"{path}/acknowledge")).json()
    assert (answer["state"], answer["acknowledged_by"]) == ("acknowledged", "first start")
    assert (await site.http.post(f"{path}/clear")).json()["state"] == "cleared"
    problem(await site.http.post(f"{path}/acknowledge"), 409, "alarm.cleared")
    problem(await site.http.post(f"/api/v1/alarms/{uuid.uuid4()}/clear"), 404, "alarm.not_found")
    assert (await site.http.get("/api/v1/alarms?state=active")).json()["items"] == []
    assert len((await site.http.get("/api/v1/alarms?device=t1")).json()["items"]) == 1


async def test_command_is_queued_and_can_be_followed(site: Running) -> None:
    product = await a_product(site)
    await a_device(site, "t1", product["id"])
    body = {"command": "close", "params": {"speed": 2}, "max_age_ms": 1000}
    answer = await made(await site.http.post("/api/v1/devices/t1/commands", json=body), 202)
    command = (await site.http.get(f"/api/v1/commands/{answer['id']}")).json()
    assert (command["device_id"], command["params"]) == ("t1", {"speed": 2})
    listed = (await site.http.get("/api/v1/commands?device=t1&status=pending")).json()
    assert listed["items"] == [command]
    problem(await site.http.get(f"/api/v1/commands/{uuid.uuid4()}"), 404, "command.not_found")
    answer = await site.http.post("/api/v1/devices/nobody/commands", json=body)
    problem(answer, 404, "device.not_found")


async def test_commands_come_in_pages(site: Running) -> None:
    product = await a_product(site)
    await a_device(site, "t1", product["id"])
    sent = []
    for _ in range(3):
        answer = await site.http.post("/api/v1/devices/t1/commands", json={"command": "close"})
        sent.append((await made(answer, 202))["id"])
    first = (await site.http.get("/api/v1/commands?limit=2")).json()
    cursor = first["next_cursor"]
    second = (await site.http.get(f"/api/v1/commands?limit=2&cursor={cursor}")).json()
    assert [c["id"] for c in first["items"] + second["items"]] == list(reversed(sent))
    assert second["next_cursor"] is None


async def test_stored_configuration_that_no_longer_compiles_can_be_mended(tmp_path: Path) -> None:
    async with running(tmp_path) as first:
        body = {"name": "hot", "trigger_script": "temperature > 30"}
        rule = await made(await first.http.post("/api/v1/rules", json=body))
        token = first.token
    with sqlite3.connect(tmp_path / "flux.db") as connection:
        # What an earlier version took for right.
        connection.execute("UPDATE rules SET trigger_script = 'a)'")
    async with running(tmp_path) as site:
        site.http.headers["Authorization"] = f"Bearer {token}"
        status = (await site.http.get("/api/v1/status")).json()
        assert status["generations"]["stored"] > status["generations"]["in_force"]
        answer = await site.http.post("/api/v1/products", json={"key": "a"})
        found = problem(answer, 422, "rule.compile")
        assert found["detail"].startswith("rule 'hot', /trigger_script: ")
        assert "pointer" not in found
        patch = {"trigger_script": "temperature > 31"}
        answer = await site.http.patch(f"/api/v1/rules/{rule['id']}", json=patch)
        assert answer.status_code == 200
        assert len(site.engine.document["rules"]) == 1
        answer = await site.http.post("/api/v1/products", json={"key": "a"})
        assert answer.status_code == 201
        assert site.engine.generation() == int(answer.headers["x-flux-generation"])


async def test_message_is_published_as_text_or_json(site: Running) -> None:
    for payload, sent in (("on", b"on"), ({"a": 1}, b'{"a":1}'), (None, b"null")):
        body = {"topic": "plant/x", "payload": payload}
        assert (await site.http.post("/api/v1/messages", json=body)).status_code == 204
        assert site.engine.published[-1] == (1, "plant/x", sent, 1)
