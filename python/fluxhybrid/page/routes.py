"""HTTP: the live page at ``/``, for everybody; what it shows needs a token."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from fluxhybrid.page.bundle import Asset, bundle

__all__ = ["router"]

router = APIRouter()

_GOOD: Final = "public, max-age=31536000, immutable"
"""RFC 8246: a year, and no question in between; the path changes with the contents."""
_ASKED_ANEW: Final = "no-cache"
# Nothing runs, loads or connects but what this server itself offers, and no text becomes markup.
# `connect-src 'self'` allows for the WebSocket too (CSP Level 3, section 6.7.2.8).
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)


@router.get("/", include_in_schema=False)
async def get_page(request: Request) -> Response:
    """Give the page's document."""
    answer = _sent(request, bundle().index, _ASKED_ANEW)
    answer.headers["Content-Security-Policy"] = _POLICY
    answer.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return answer


@router.get("/page/{digest}/{name:path}", include_in_schema=False)
async def get_file(request: Request, digest: str, name: str) -> Response:
    """Give one of the files the document refers to."""
    page = bundle()
    asset = page.assets.get(name)
    # Another digest is another version's: what it says would not fit the rest.
    if asset is None or digest != page.digest:
        raise HTTPException(404)
    return _sent(request, asset, _GOOD)


def _sent(request: Request, asset: Asset, cache_control: str) -> Response:
    compressed = _accepts_gzip(request.headers.get("accept-encoding", ""))
    # RFC 9110, section 8.8.3: each encoding is a representation of its own.
    etag = f'"{asset.etag}-gzip"' if compressed else f'"{asset.etag}"'
    headers = {"ETag": etag, "Cache-Control": cache_control, "Vary": "Accept-Encoding"}
    if etag in _listed(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    if compressed:
        headers["Content-Encoding"] = "gzip"
    content = asset.gzipped if compressed else asset.plain
    return Response(content, media_type=asset.media_type, headers=headers)


def _listed(header: str) -> list[str]:
    """Entity tags; whether they are weak does not matter here (RFC 9110, section 13.1.2)."""
    return [tag.strip().removeprefix("W/") for tag in header.split(",")]


def _accepts_gzip(header: str) -> bool:
    for offered in header.lower().split(","):
        coding, _, parameters = offered.partition(";")
        if coding.strip() in ("gzip", "x-gzip"):
            weight = parameters.replace(" ", "").removeprefix("q=")
            return weight.strip("0.") != "" or weight == ""
    return False
