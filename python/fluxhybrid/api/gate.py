"""What every request passes through.

Owns the limits of a request (size, time, media type), the headers of every answer, the counting,
and the answer when something broke. Must never know a route.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fluxhybrid.api.problems import of_defect, of_status

__all__ = ["BODY_TIMEOUT_S", "Counter", "Gate"]

_log = logging.getLogger(__name__)

BODY_TIMEOUT_S: Final = 30.0
"""Time to send a request's body."""
DISCARD_BYTES_MAX: Final = 2 * 2**20
"""How much of a body that is too large is still read: who is cut off while sending sees a broken
connection, not the answer."""
DISCARD_TIMEOUT_S: Final = 3.0
"""Time for that."""
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_UNMATCHED: Final = "(none)"


class Counter(Protocol):
    """Counts what was answered."""

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        ...


class _Gone(Exception):  # noqa: N818
    """The caller hung up before the request was whole."""


class _TooLarge(Exception):  # noqa: N818
    """The body is larger than it may be.

    Args:
        more: whether more of it is to come.
    """

    def __init__(self, more: bool) -> None:
        self.more = more


class Gate:
    """ASGI middleware, the outermost.

    Args:
        app: what is behind it.
        body_bytes_max: largest body.
        generations: the generation stored, and the one in force.
        counter: what counts.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        body_bytes_max: int,
        generations: Callable[[], tuple[int, int]],
        counter: Counter,
    ) -> None:
        self._app = app
        self._body_bytes_max = body_bytes_max
        self._generations = generations
        self._counter = counter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        status = 0

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(message)
            await send(message)

        # RFC 9110, section 9.3.2: HEAD is GET without the content, which the server leaves out.
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else dict(scope)
        try:
            refusal, replay = await self._read(inner, receive)
            if refusal is not None:
                await refusal(inner, receive, send_noted)
            else:
                await self._app(inner, replay, send_noted)
        except _Gone:
            return
        except Exception:
            _log.exception("a request failed")
            if status == 0:
                await of_defect()(inner, receive, send_noted)
        finally:
            if status:
                method = scope["method"] if scope["method"] in _METHODS else "other"
                self._counter.answered(
                    method, _route_of(inner), status, time.perf_counter() - began
                )

    async def _read(self, scope: Scope, receive: Receive) -> tuple[Response | None, Receive]:
        """Read the whole body; gives a refusal, or what hands the body on."""
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "0")
        if declared.isascii() and declared.isdigit() and int(declared) > self._body_bytes_max:
            return await self._too_large(receive, more=True), receive
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                body = await self._body(receive)
        except TimeoutError:
            late = of_status(408, "request.timeout", "the body took too long to arrive")
            return late, receive
        except _TooLarge as error:
            return await self._too_large(receive, more=error.more), receive
        return (_refusal(headers, body) if body else None), _replaying(body, receive)

    async def _body(self, receive: Receive) -> bytes:
        """The whole body.

        Raises:
            _TooLarge: it is.
            _Gone: the caller hung up.
        """
        chunks: list[bytes] = []
        length = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            chunk = message.get("body", b"")
            length += len(chunk)
            more = message.get("more_body", False)
            if length > self._body_bytes_max:
                raise _TooLarge(more)
            chunks.append(chunk)
            if not more:
                return b"".join(chunks)

    async def _too_large(self, receive: Receive, *, more: bool) -> Response:
        whole = not more or await _discarded(receive)
        return of_status(
            413,
            "request.too_large",
            f"the body is larger than {self._body_bytes_max} bytes",
            hint="send less at once, or raise [server] request_bytes_max",
            headers=None if whole else {"Connection": "close"},
        )

    def _add_headers(self, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        stored, in_force = self._generations()
        headers["X-Flux-Generation"] = str(stored)
        headers["X-Flux-Generation-In-Force"] = str(in_force)
        headers["X-Content-Type-Options"] = "nosniff"
        headers.setdefault("Cache-Control", "no-store")
        headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        headers.setdefault("Referrer-Policy", "no-referrer")


async def _discarded(receive: Receive) -> bool:
    """Read on, within bounds; says whether the body came to its end."""
    length = 0
    try:
        async with asyncio.timeout(DISCARD_TIMEOUT_S):
            while length <= DISCARD_BYTES_MAX:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Gone
                length += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return True
    except TimeoutError:
        pass
    return False


def _refusal(headers: Headers, body: bytes) -> Response | None:
    media_type = headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if media_type != "application/json":
        return of_status(
            415,
            "request.media_type",
            f"the body is {media_type or 'of no declared type'}, not JSON",
            hint='send the header "Content-Type: application/json"',
            headers={"Accept": "application/json"},
        )
    try:
        # Stricter than the parser behind us: no NaN, no lone surrogates, bounded nesting.
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return of_status(
            400,
            "request.json",
            f"the body is not JSON: {error.msg}",
            line=error.lineno,
            column=error.colno,
        )
    return None


def _replaying(body: bytes, receive: Receive) -> Receive:
    handed_on = False

    async def replay() -> Message:
        nonlocal handed_on
        if handed_on:
            return await receive()
        handed_on = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _route_of(scope: Scope) -> str:
    route: Any = scope.get("route")
    path = getattr(route, "path", None)
    return path if isinstance(path, str) else _UNMATCHED
