"""The API, called from its own description with input nobody would think of.

``FLUX_API_EXAMPLES`` sets how many calls each operation gets.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest import SkipTest

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fluxhybrid.api.problems import ProblemDocument
from fluxhybrid.api.reference import renewed
from tests.contract.api_fixture import running

EXAMPLES: Final = int(os.environ.get("FLUX_API_EXAMPLES", "2"))


@dataclass
class Server:
    url: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The platform in a thread of its own: whoever calls it here does not know asyncio."""
    directory = tmp_path_factory.mktemp("api")
    ready: Future[Server] = Future()
    stopping = asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with running(directory, database={"acquire_timeout": "60s"}) as site:
            ready.set_result(Server(site.url, site.token))
            await stopping.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield ready.result(timeout=30)
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(timeout=30)
        assert not thread.is_alive()
        loop.close()


def document_of(server: Server) -> dict[str, Any]:
    answer = httpx.get(f"{server.url}/api/v1/openapi.json", trust_env=False)
    document: dict[str, Any] = answer.json()
    return document


def seed(server: Server) -> dict[str, str]:
    """Things to name in paths, made again where an earlier call removed them."""
    with httpx.Client(base_url=server.url, headers=server.headers, trust_env=False) as http:
        http.post("/api/v1/products", json={"key": "seed"})
        product = http.get("/api/v1/products/seed").json()
        http.post("/api/v1/devices", json={"key": "seed", "product_id": product["id"]})
        http.post("/api/v1/principals", json={"username": "seeded"})
        rule = http.post("/api/v1/rules", json={"name": "seed", "trigger_script": "true"}).json()
    return {"product": "seed", "device": "seed", "principal": "seeded", "rule": rule["id"]}


CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.timeout(3600)
def test_no_call_breaks_the_server_and_every_error_is_a_problem(
    server: Server, mode: GenerationMode
) -> None:
    schema = schemathesis.openapi.from_dict(document_of(server))
    schema.config.update(base_url=server.url)
    statuses: Counter[int] = Counter()
    known: dict[str, str] = {}

    def call(case: Any) -> None:
        # Names made up are hardly ever those of something: many calls get one that is.
        if case.path_parameters and len(repr(case.body)) % 3:
            for name in case.path_parameters.keys() & known.keys():
                case.path_parameters[name] = known[name]
        response = case.call(headers=server.headers)
        statuses[response.status_code] += 1
        case.validate_response(response, checks=CHECKS)
        if response.status_code >= 400:
            assert response.headers["content-type"] == ["application/problem+json"]
            ProblemDocument.model_validate_json(response.content)

    bounds = settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > 30
    for operation in operations:
        known = seed(server)
        # What takes no input cannot be given a wrong one.
        with contextlib.suppress(Unsatisfiable, SkipTest):
            bounds(given(case=operation.as_strategy(mode))(call))()
    assert sum(statuses.values()) > EXAMPLES * len(operations) / 4
    if mode is GenerationMode.POSITIVE:
        assert statuses[401] == 0
        assert statuses[201] > 0
        assert statuses[200] > 0


def test_description_is_openapi_3_1_and_names_every_resource(server: Server) -> None:
    document = document_of(server)
    assert document["openapi"].startswith("3.1.")
    for path in (
        "/api/v1/products/{product}",
        "/api/v1/devices/{device}/secret",
        "/api/v1/devices/{device}/latest",
        "/api/v1/latest",
        "/api/v1/refusals",
        "/api/v1/devices/{device}/commands",
        "/api/v1/principals",
        "/api/v1/rules:reload",
        "/api/v1/rules:test",
        "/api/v1/firings",
        "/api/v1/alarms/{alarm_id}/acknowledge",
        "/api/v1/status",
        "/healthz",
    ):
        assert path in document["paths"]
    for operations in document["paths"].values():
        for operation in operations.values():
            content = operation["responses"]["default"]["content"]
            assert list(content) == ["application/problem+json"]


def test_description_has_no_dangling_reference(server: Server) -> None:
    document = document_of(server)

    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for child in node.values():
                yield from references(child)
        elif isinstance(node, list):
            for child in node:
                yield from references(child)

    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known


def test_document_is_kept_small(server: Server) -> None:
    # A gateway's browser reads it whole.
    assert len(httpx.get(f"{server.url}/api/v1/openapi.json").content) < 200_000


def test_reference_in_the_documentation_is_up_to_date(project_root: Path) -> None:
    text = (project_root / "docs/API.md").read_text(encoding="utf-8")
    assert renewed(text) == text, "run python -m fluxhybrid.api.reference docs/API.md"
