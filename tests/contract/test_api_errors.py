"""Every error is a problem document, and every limit holds."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from fluxhybrid.api import gate
from fluxhybrid.storage import database as database_module
from tests.contract.api_fixture import Running, running
from tests.contract.test_api_resources import a_device, a_product, problem

JSON = {"Content-Type": "application/json"}


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, server={"request_bytes_max": 4096}) as made:
        yield made


async def raw(site: Running, *parts: bytes) -> bytes:
    """What the server answers to these bytes, until it closes the connection."""
    host, _, port = site.platform.addresses["api"].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()


async def test_unknown_path(site: Running) -> None:
    problem(await site.http.get("/api/v1/nothing"), 404, "request.no_such_path")
    problem(await site.http.get("/api/v1/products/"), 404, "request.no_such_path")


async def test_wrong_method_is_told_all_right_ones(site: Running) -> None:
    answer = await site.http.put("/api/v1/products", json={})
    problem(answer, 405, "request.method")
    assert answer.headers["allow"] == "GET, HEAD, POST"
    answer = await site.http.post("/api/v1/products/x", json={})
    assert answer.headers["allow"] == "DELETE, GET, HEAD, PATCH"


async def test_head_is_get_without_content(site: Running) -> None:
    answer = await site.http.head("/api/v1/products")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("body", "line", "column"),
    [
        (b"{", 1, 2),
        (b'{"key":\n  oops}', 2, 3),
        (b'{"key": NaN}', 1, 9),
        (b'{"key": "\xff"}', 1, 1),
        (b'{"key": "\\ud800"}', 1, 9),
        (b"[" * 4000, 1, 1026),
    ],
)
async def test_body_that_is_not_json_is_told_where(
    site: Running, body: bytes, line: int, column: int
) -> None:
    answer = await site.http.post("/api/v1/products", content=body, headers=JSON)
    found = problem(answer, 400, "request.json")
    assert found["line"] == line
    assert abs(found["column"] - column) <= 1


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_other_media_types_are_refused(site: Running, media_type: str) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    answer = await site.http.post("/api/v1/products", content=b'{"key": "a"}', headers=headers)
    problem(answer, 415, "request.media_type")
    assert answer.headers["accept"] == "application/json"


async def test_body_over_the_limit_is_refused_declared_or_not(site: Running) -> None:
    answer = await site.http.post("/api/v1/products", content=b" " * 5000, headers=JSON)
    problem(answer, 413, "request.too_large")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b" " * 1000

    answer = await site.http.post("/api/v1/products", content=chunks(), headers=JSON)
    problem(answer, 413, "request.too_large")


async def test_every_problem_of_a_body_is_told_at_once(site: Running) -> None:
    body = {
        "key": "a/b",
        "topic_template": "v1/{line}/telemetry",
        "decode": {"type": "json", "values": {"t": 5}},
        "unknown": 1,
        "metadata": {"deep": {"~/x": "\0"}},
    }
    answer = await site.http.post("/api/v1/products", json=body)
    found = problem(answer, 422, "request.string_pattern_mismatch")
    assert {item["pointer"] for item in found["problems"]} == {
        "/key",
        "/topic_template",
        "/decode/values/t",
        "/unknown",
        "/metadata",
    }
    template = next(i for i in found["problems"] if i["pointer"] == "/topic_template")
    assert template["message"] == "topic_template does not name the device"
    assert template["hint"] == 'put "{device}" in it'


async def test_unknown_variant_is_told_at_the_member_that_names_it(site: Running) -> None:
    body = {"decode": {"type": "xml"}}
    answer = await site.http.post("/api/v1/products", json=body)
    found = problem(answer, 422, "request.union_tag_invalid")
    (told,) = found["problems"]
    assert told["pointer"] == "/decode/type"
    assert told["message"] == "input should be one of 'json', 'plugin'"


async def test_pointer_leads_past_the_names_of_variants(site: Running) -> None:
    body = {
        "name": "x",
        "trigger_script": "true",
        "actions": [{"type": "Command", "command": "close"}, {"type": "nonsense"}],
    }
    found = problem(await site.http.post("/api/v1/rules", json=body), 422, "request.missing")
    assert [item["pointer"] for item in found["problems"]] == [
        "/actions/0/device",
        "/actions/1/type",
    ]


async def test_entry_of_a_list_is_called_by_its_list(site: Running) -> None:
    body = {"username": "a", "publish": ["plant/#", "a/#/b"]}
    answer = await site.http.post("/api/v1/principals", json=body)
    found = problem(answer, 422, "request.topic_filter")
    assert found["pointer"] == "/publish/1"
    assert found["detail"] == "publish[1] has a # that is not its last level"


async def test_missing_body_and_wrong_parameters(site: Running) -> None:
    found = problem(await site.http.post("/api/v1/products"), 422, "request.missing")
    assert found["pointer"] == ""
    answer = await site.http.get("/api/v1/products?limit=0&cursor=zz")
    found = problem(answer, 422, "request.greater_than_equal")
    assert [item["parameter"] for item in found["problems"]] == ["limit", "cursor"]
    problem(await site.http.get("/api/v1/commands/7"), 422, "request.uuid_parsing")


@pytest.mark.parametrize(
    "value",
    [
        {"n": 2**63},
        {"n": -(2**63) - 1},
        {"n": 10**400},
        {"text": "a\0b"},
        {"a\0b": 1},
        {"long": "x" * 70_000},
    ],
)
async def test_json_that_no_store_could_hold_is_refused(tmp_path: Path, value: Any) -> None:
    async with running(tmp_path) as site:
        answer = await site.http.post("/api/v1/products", json={"metadata": value})
        assert answer.status_code in (400, 422)
        assert answer.headers["content-type"] == "application/problem+json"


async def test_deep_json_is_refused(site: Running) -> None:
    value: Any = 1
    for _ in range(100):
        value = [value]
    answer = await site.http.post("/api/v1/products", json={"metadata": {"a": value}})
    found = problem(answer, 422, "request.json")
    assert found["pointer"] == "/metadata"


async def test_broken_service_is_our_fault_and_tells_nothing(site: Running) -> None:
    product = await a_product(site)
    await a_device(site, "t1", product["id"])
    site.engine.broken = True
    answer = await site.http.post("/api/v1/devices/t1/commands", json={"command": "x"})
    problem(answer, 500, "internal")
    assert "boom" not in answer.text
    # The server goes on.
    assert (await site.http.get("/api/v1/products")).status_code == 200


async def test_locked_database_asks_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_MS", 50)
    async with running(tmp_path) as site:
        generation = site.engine.generation()
        other = sqlite3.connect(tmp_path / "flux.db", isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            answer = await site.http.post("/api/v1/products", json={"key": "a"})
            problem(answer, 503, "storage.locked")
            assert int(answer.headers["retry-after"]) >= 1
            assert (await site.http.get("/api/v1/products")).json()["items"] == []
        finally:
            other.close()
        assert site.engine.generation() == generation
        assert (await site.http.post("/api/v1/products", json={"key": "a"})).status_code == 201


async def test_what_is_no_http_is_answered_and_closed(site: Running) -> None:
    answer = await raw(site, b"nonsense\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer


async def test_endless_head_is_cut_off(site: Running) -> None:
    host, _, port = site.platform.addresses["api"].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    sent = 0
    try:
        async with asyncio.timeout(20):
            writer.write(b"GET / HTTP/1.1\r\n")
            while sent < 2**20:
                writer.write(b"X-A: " + b"a" * 1000 + b"\r\n")
                sent += 1000
                await writer.drain()
                if reader.at_eof():
                    break
            assert (await reader.read()).startswith((b"HTTP/1.1 400 ", b""))
    except ConnectionError:
        pass
    finally:
        writer.close()
    assert (await site.http.get("/healthz")).status_code == 200


async def test_body_that_never_comes_is_not_waited_for(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "BODY_TIMEOUT_S", 0.05)
    head = (
        f"POST /api/v1/products HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 10\r\nConnection: close\r\n\r\n"
    )
    answer = await raw(site, head.encode(), b"{")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"request.timeout" in answer


async def test_every_answer_forbids_what_it_does_not_need(site: Running) -> None:
    for path in ("/healthz", "/docs", "/api/v1/openapi.json", "/nothing"):
        headers = (await site.http.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers


async def test_documentation_loads_nothing_from_elsewhere(site: Running) -> None:
    page = (await site.http.get("/docs")).text
    assert "http://" not in page
    assert "https://" not in page
    assert "src=" not in page


async def test_caller_that_hangs_up_disturbs_nobody(site: Running) -> None:
    host, _, port = site.platform.addresses["api"].rpartition(":")
    for _ in range(5):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /api/v1/products HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
        await writer.drain()
        writer.transport.abort()
    answer: httpx.Response = await site.http.get("/api/v1/products")
    assert answer.status_code == 200
