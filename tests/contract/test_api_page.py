"""The live page's files as they travel: named by contents, compressed, nothing from elsewhere."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from fluxhybrid.page.bundle import _bundle, bundle
from tests.contract.api_fixture import Running, running

STATIC = Path(__file__).resolve().parents[2] / "python/fluxhybrid/page/static"
ZIPPED = {"Accept-Encoding": "gzip"}
PLAIN = {"Accept-Encoding": "identity"}


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as made:
        yield made


def directives(answer: httpx.Response) -> dict[str, str]:
    policy = answer.headers["content-security-policy"]
    return dict(part.strip().partition(" ")[::2] for part in policy.split(";"))


async def test_page_needs_no_token_and_its_policy_allows_only_its_own(site: Running) -> None:
    answer = await site.http.get("/", headers={"Authorization": ""})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = directives(answer)
    assert policy["default-src"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    loading = {name for name in policy if name.endswith("-src")} - {"default-src"}
    assert {policy[name] for name in loading} == {"'self'"}
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_everything_the_document_refers_to_is_there_for_good(site: Running) -> None:
    document = (await site.http.get("/")).text
    assert "{{" not in document
    named = re.findall(r'(?:href|src)="((?!#)[^"]+)"', document)
    assert len(named) > 10
    for path in named:
        assert re.match(r"page/[0-9a-f]{16}/", path), f"{path} is not the page's own"
        answer = await site.http.get(f"/{path}")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_no_file_names_another_origin_or_makes_markup_of_text() -> None:
    for file in STATIC.rglob("*.*"):
        text = file.read_text()
        others = set(re.findall(r"\b(?:https?|wss?):?//[\w./-]+", text))
        assert others <= {"http://www.w3.org/2000/svg"}, f"{file.name}: {others}"
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert way not in text, f"{file.name} has {way}"


async def test_every_module_that_is_imported_is_preloaded_and_the_other_way_round() -> None:
    page = bundle()
    modules = {name for name in page.assets if name.endswith(".js")}
    imported = set()
    for name in modules:
        for path in re.findall(r"from '(\.[^']+)'", page.assets[name].plain.decode()):
            target = (Path("/") / name).parent / path
            imported.add(str(target.resolve()).removeprefix("/"))
    document = page.index.plain.decode()
    preloaded = set(re.findall(r'modulepreload" href="page/[0-9a-f]+/([^"]+)"', document))
    assert imported == preloaded
    assert modules - preloaded == {"main.js", "appearance.js"}


async def test_document_is_asked_for_anew_and_answered_in_few_bytes(site: Running) -> None:
    first = await site.http.get("/", headers=ZIPPED)
    assert first.headers["cache-control"] == "no-cache"
    again = await site.http.get("/", headers={**ZIPPED, "If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    weak = {**ZIPPED, "If-None-Match": f'"x", W/{first.headers["etag"]}'}
    assert (await site.http.get("/", headers=weak)).status_code == 304
    other = await site.http.get("/", headers={**ZIPPED, "If-None-Match": '"another"'})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("br, gzip;q=0.5", "gzip"),
        ("X-GZIP", "gzip"),
        ("gzip;q=0", None),
        ("gzip; q=0.000", None),
        ("br", None),
        ("", None),
    ],
)
async def test_files_are_compressed_for_those_who_can_read_it(
    site: Running, accepted: str, encoding: str | None
) -> None:
    path = f"/page/{bundle().digest}/page.css"
    async with site.http.stream("GET", path, headers={"Accept-Encoding": accepted}) as answer:
        raw = b"".join([part async for part in answer.aiter_raw()])
        assert answer.headers.get("content-encoding") == encoding
        assert answer.headers["vary"] == "Accept-Encoding"
        tag = answer.headers["etag"]
    assert (gzip.decompress(raw) if encoding else raw) == (STATIC / "page.css").read_bytes()
    assert tag.endswith('-gzip"') is (encoding is not None)


@pytest.mark.parametrize(
    "path",
    [
        "/page/0000000000000000/main.js",
        "/page/{digest}/index.html",
        "/page/{digest}/nothing.js",
        "/page/{digest}/../bundle.py",
        "/page/{digest}/..%2Fbundle.py",
        "/page/{digest}/%2Fetc%2Fpasswd",
        "/page/{digest}/",
    ],
)
async def test_nothing_but_the_pages_files_is_served(site: Running, path: str) -> None:
    answer = await site.http.get(path.format(digest=bundle().digest))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_answers_are_counted_by_route_not_by_path(site: Running) -> None:
    await site.http.get("/")
    await site.http.get(f"/page/{bundle().digest}/main.js")
    metrics = (await site.http.get(f"http://{site.platform.addresses['metrics']}/metrics")).text
    for route in ("/", "/page/{digest}/{name:path}"):
        labels = f'method="GET",route="{route}",status="200"'
        assert f"flux_http_requests_total{{{labels}}} 1.0" in metrics


async def test_other_methods_are_refused_and_head_has_no_content(site: Running) -> None:
    assert (await site.http.post("/")).status_code == 405
    head = await site.http.head("/")
    assert (head.status_code, head.content) == (200, b"")


def test_digest_follows_the_contents(tmp_path: Path) -> None:
    def made(**contents: str) -> str:
        for name, content in contents.items():
            (tmp_path / name.replace("_", ".")).write_text(content)
        return _bundle(tmp_path).digest

    first = made(index_html="<!-- {{preloads}} -->", main_js="1")
    assert made(main_js="1") == first
    assert made(main_js="2") != first
    assert made(main_js="1", other_css="") != first
    (tmp_path / "notes.txt").write_text("not the page's")
    assert "notes.txt" not in _bundle(tmp_path).assets


def test_page_weighs_little() -> None:
    page = bundle()
    weight = len(page.index.gzipped) + sum(len(asset.gzipped) for asset in page.assets.values())
    assert weight < 64_000, f"{weight} bytes"
