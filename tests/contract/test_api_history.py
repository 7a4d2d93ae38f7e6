"""The API of history and plugins, over an engine of the test's own."""

from __future__ import annotations

import base64
import csv
import io

import pytest

from fluxhybrid.errors import Invalid
from fluxhybrid.telemetry.history import read_step, read_time
from tests.contract.api_fixture import Running
from tests.contract.test_api_resources import a_device, a_product, made, problem, site

__all__ = ["site"]

HISTORY = "/api/v1/devices/thermo-1/telemetry"


async def test_history_is_read_page_by_page(site: Running) -> None:
    product = await a_product(site)
    device = await a_device(site, "thermo-1", product["id"])
    wanted: dict[str, str | int] = {"from": 0, "to": 5_000, "limit": 3}
    first = await made(await site.http.get(HISTORY, params=wanted), 200)
    assert (first["device_id"], first["id"]) == ("thermo-1", device["id"])
    assert [point[0] for point in first["series"][0]["points"]] == [0, 1_000, 2_000]
    wanted["cursor"] = first["next_cursor"]
    rest = await made(await site.http.get(HISTORY, params=wanted), 200)
    assert [point[0] for point in rest["series"][0]["points"]] == [3_000, 4_000]
    assert rest["next_cursor"] is None


async def test_history_is_exported_whole_as_csv(site: Running) -> None:
    product = await a_product(site)
    await a_device(site, "thermo-1", product["id"])
    answer = await site.http.get(
        HISTORY,
        params={"from": "1970-01-01T00:00:00Z", "to": "1970-01-01T06:00:00+00:00"},
        headers={"accept": "text/csv"},
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0] == ["time", "name", "value"]
    assert len(rows) == 1 + 6 * 3_600, "more than a page"
    assert rows[1] == ["1970-01-01T00:00:00.000Z", "t", "1.5"]


async def test_wrong_questions_are_told_how_to_be_mended(site: Running) -> None:
    product = await a_product(site)
    await a_device(site, "thermo-1", product["id"])
    for params, code in [
        ({"from": "yesterday"}, "telemetry.time"),
        ({"from": "2026-11-25T08:00:00"}, "telemetry.time"),
        ({"from": "5", "to": "4"}, "telemetry.range"),
        ({"agg": "min"}, "telemetry.agg"),
        ({"step": "often"}, "telemetry.step"),
        ({"step": "0"}, "telemetry.step"),
    ]:
        told = problem(await site.http.get(HISTORY, params=params), 422, code)
        assert told["hint"]
    problem(await site.http.get("/api/v1/devices/none/telemetry"), 404, "device.not_found")


def test_times_and_steps_are_read_both_ways() -> None:
    assert read_time("from", "1500") == 1_500
    assert read_time("from", "1970-01-01T00:00:01.5+00:00") == 1_500
    assert read_step("5m") == read_step("300000") == 300_000
    with pytest.raises(Invalid):
        read_time("from", str(10**30))


async def test_plugins_are_installed_and_named_by_products(site: Running) -> None:
    body = {"key": "meter", "protocol_plugin_id": "mine"}
    told = problem(await site.http.post("/api/v1/products", json=body), 422, "plugin.unknown")
    assert told["pointer"] == "/protocol_plugin_id"
    module = base64.b64encode(b"\0asm").decode()
    plugin = {"id": "mine", "module_base64": module}
    await made(await site.http.post("/api/v1/plugins", json=plugin))
    product = await made(await site.http.post("/api/v1/products", json=body))
    assert product["decode"] == {"type": "plugin", "settings": {}, "grants": []}
    (entry,) = site.engine.document["products"]
    assert entry["decode"] == {"type": "plugin", "settings": {}, "grants": [], "plugin": "mine"}
    listed = await made(await site.http.get("/api/v1/plugins"), 200)
    assert [item["id"] for item in listed["items"]] == ["mine"]


async def test_decoding_goes_with_there_being_a_plugin(site: Running) -> None:
    site.engine.install_plugin("mine", b"\0asm")
    both = {"key": "a", "protocol_plugin_id": "mine", "decode": {"type": "json"}}
    problem(await site.http.post("/api/v1/products", json=both), 422, "product.decode")
    neither = {"key": "a", "decode": {"type": "plugin"}}
    problem(await site.http.post("/api/v1/products", json=neither), 422, "product.decode")
    product = await made(await site.http.post("/api/v1/products", json={"key": "a"}))
    place = f"/api/v1/products/{product['id']}"
    changed = {"protocol_plugin_id": "mine", "plugin_chain": [{"plugin": "mine"}]}
    product = await made(await site.http.patch(place, json=changed), 200)
    assert product["decode"]["type"] == "plugin"
    assert product["plugin_chain"] == [{"plugin": "mine", "settings": {}, "grants": []}]
    product = await made(await site.http.patch(place, json={"protocol_plugin_id": None}), 200)
    assert product["decode"]["type"] == "json"


async def test_what_is_no_plugin_is_refused(site: Running) -> None:
    module = base64.b64encode(b"hello").decode()
    body = {"id": "mine", "module_base64": module}
    problem(await site.http.post("/api/v1/plugins", json=body), 422, "plugin.compile")
    body = {"id": "Mine", "module_base64": module}
    problem(
        await site.http.post("/api/v1/plugins", json=body),
        422,
        "request.string_pattern_mismatch",
    )
    problem(await site.http.get("/api/v1/plugins/mine"), 404, "plugin.unknown")
    problem(await site.http.post("/api/v1/plugins/mine:rollback"), 404, "plugin.unknown")
