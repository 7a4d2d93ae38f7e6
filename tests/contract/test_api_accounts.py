"""Who may use the API."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from fluxhybrid.accounts import attempts as attempts_module
from fluxhybrid.accounts.attempts import WrongAttempts
from tests.contract.api_fixture import Running, running
from tests.contract.test_api_resources import problem


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as made:
        yield made


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_nothing_but_health_and_documentation_is_open(site: Running) -> None:
    document = (await site.http.get("/api/v1/openapi.json", headers=bearer("no"))).json()
    assert (await site.http.get("/healthz", headers=bearer("no"))).json() == {"status": "ok"}
    checked = 0
    for path, operations in document["paths"].items():
        for method in operations:
            if path == "/healthz":
                continue
            answer = await site.http.request(method, path, headers=bearer("wrong"))
            assert answer.status_code in (401, 429), f"{method} {path}"
            checked += 1
    assert checked > 30


async def test_token_that_is_missing_or_wrong_is_told_how_to_sign_in(site: Running) -> None:
    answer = await site.http.get("/api/v1/products", headers={"Authorization": ""})
    problem(answer, 401, "auth.missing")
    assert answer.headers["www-authenticate"] == 'Bearer realm="fluxhybrid"'
    answer = await site.http.get("/api/v1/products", headers=bearer("wrong"))
    problem(answer, 401, "auth.wrong")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    answer = await site.http.get("/api/v1/products", headers={"Authorization": "Basic YTpi"})
    problem(answer, 401, "auth.missing")


async def test_token_is_stored_as_a_hash_only(site: Running, tmp_path: Path) -> None:
    assert site.token
    with sqlite3.connect(tmp_path / "flux.db") as connection:
        ((stored,),) = connection.execute("SELECT token_sha256 FROM api_tokens").fetchall()
    assert stored == hashlib.sha256(site.token.encode()).hexdigest()
    for file in tmp_path.iterdir():  # noqa: ASYNC240
        if file.is_file():
            assert site.token.encode() not in file.read_bytes()


async def test_token_is_issued_used_and_revoked(site: Running) -> None:
    answer = await site.http.post("/api/v1/tokens", json={"name": "ci"})
    issued = answer.json()
    assert answer.status_code == 201
    headers = bearer(issued["token"])
    listed = (await site.http.get("/api/v1/tokens", headers=headers)).json()["items"]
    assert [token["name"] for token in listed] == ["first start", "ci"]
    assert all("token" not in token for token in listed)
    path = f"/api/v1/tokens/{issued['id']}"
    assert (await site.http.delete(path)).status_code == 204
    problem(await site.http.get("/api/v1/products", headers=headers), 401, "auth.wrong")
    problem(await site.http.delete(path), 404, "token.not_found")


async def test_token_that_is_over_is_refused(site: Running) -> None:
    body = {"name": "old", "expires_at_ms": 1}
    issued = (await site.http.post("/api/v1/tokens", json=body)).json()
    answer = await site.http.get("/api/v1/products", headers=bearer(issued["token"]))
    problem(answer, 401, "auth.wrong")


async def test_guessing_is_slowed_down_but_a_known_token_still_works(site: Running) -> None:
    assert (await site.http.get("/api/v1/products")).status_code == 200
    answers = [
        (await site.http.get("/api/v1/products", headers=bearer(f"guess-{number}"))).status_code
        for number in range(attempts_module.WRONG_MAX + 5)
    ]
    assert answers == [401] * attempts_module.WRONG_MAX + [429] * 5
    answer = await site.http.get("/api/v1/products", headers=bearer("again"))
    problem(answer, 429, "auth.too_many_attempts")
    assert 0 < int(answer.headers["retry-after"]) <= attempts_module.WINDOW_S
    assert (await site.http.get("/api/v1/products")).status_code == 200


def test_wrong_attempts_are_forgotten_with_their_window() -> None:
    now = 100.0
    attempts = WrongAttempts(lambda: now)
    for _ in range(attempts_module.WRONG_MAX):
        assert attempts.wait_s("a") == 0
        attempts.wrong("a")
    assert attempts.wait_s("a") == attempts_module.WINDOW_S
    assert attempts.wait_s("b") == 0
    now += attempts_module.WINDOW_S
    assert attempts.wait_s("a") == 0
    attempts.wrong("a")
    assert attempts.wait_s("a") == 0


def test_addresses_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts_module, "ADDRESSES_MAX", 3)
    attempts = WrongAttempts()
    for number in range(100):
        attempts.wrong(f"address-{number}")
    assert len(attempts._windows) == 3
