"""Speaking to a running server: what is sent, and what its errors become."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from fluxhybrid.errors import Denied, Internal, Invalid, NotFound, Unavailable
from fluxhybrid.plugins.building import Built
from fluxhybrid.plugins.project import read_project
from fluxhybrid.plugins.scaffold import new_project
from fluxhybrid.plugins.server import PluginServer

Handler = Callable[[httpx.Request], httpx.Response]


def server(handler: Handler, token: str | None = "t") -> PluginServer:
    return PluginServer("http://flux.test/", token, transport=httpx.MockTransport(handler))


def answering(status: int, content: object) -> Handler:
    return lambda _: httpx.Response(status, json=content)


def test_plugin_is_installed_with_its_vectors(tmp_path: Path) -> None:
    project = read_project(new_project("room", "c", tmp_path))
    module, vectors, manifest = (tmp_path / name for name in ("a.wasm", "v.json", "a.toml"))
    module.write_bytes(b"\0asm")
    vectors.write_bytes(b'[{"name": "a"}]')
    manifest.write_text('id = "room"', "utf-8")
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"id": "room", "version": "0.1.0"})

    with server(handle) as client:
        assert client.install(Built(project, module, vectors, manifest, "clang"))["id"] == "room"
    assert (seen[0].method, seen[0].url.path) == ("POST", "/api/v1/plugins")
    assert seen[0].headers["authorization"] == "Bearer t"
    body = json.loads(seen[0].content)
    assert base64.b64decode(body["module_base64"]) == b"\0asm"
    assert (body["id"], body["vectors"], body["manifest"]) == (
        "room",
        [{"name": "a"}],
        'id = "room"',
    )


def test_actions_go_to_their_paths() -> None:
    paths: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        paths.append(f"{request.method} {request.url.path}")
        return httpx.Response(200, json={"items": []})

    with server(handle) as client:
        client.list()
        client.reload("meter")
        client.rollback("meter")
    assert paths == [
        "GET /api/v1/plugins",
        "POST /api/v1/plugins/meter:reload",
        "POST /api/v1/plugins/meter:rollback",
    ]


def test_problems_of_the_server_are_told_in_its_words() -> None:
    document = {
        "code": "plugin.self_test",
        "detail": "1 of 5 vectors fail",
        "problems": [{"code": "plugin.self_test", "message": "a warm room: temperature"}],
    }
    with pytest.raises(Invalid) as raised, server(answering(422, document)) as client:
        client.reload("meter")
    assert raised.value.code == "plugin.self_test"
    assert [problem.message for problem in raised.value.problems] == ["a warm room: temperature"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Denied), (403, Denied), (404, NotFound), (413, Invalid), (500, Internal)],
)
def test_status_picks_the_kind(status: int, kind: type[Exception]) -> None:
    with pytest.raises(kind), server(answering(status, {"code": "a.b", "detail": "no"})) as client:
        client.list()


def test_missing_token_is_told_how_to_give() -> None:
    with pytest.raises(Denied) as raised, server(answering(401, {"code": "a.b"}), None) as client:
        client.list()
    assert "--token" in str(raised.value.hint)


def test_what_is_no_fluxhybrid_is_told() -> None:
    def handle(_: httpx.Request) -> httpx.Response:
        return httpx.Response(404, text="<html>")

    with pytest.raises(NotFound, match="answers 404") as raised, server(handle) as client:
        client.list()
    assert "fluxhybrid server" in str(raised.value.hint)


def test_no_answer_is_unavailable() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(Unavailable, match="no answer") as raised, server(handle) as client:
        client.list()
    assert "--url" in str(raised.value.hint)
