"""The listener operators' tools read from: ``/metrics`` and ``/healthz``.

Owns a very small HTTP/1.1 server (RFC 9112), without the web framework, so that a headless process
has it too. Must never answer anything but GET and HEAD on its two paths, nor keep a connection.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable
from typing import Any, Final

from fluxhybrid.operations.metrics import CONTENT_TYPE

__all__ = ["OperationsListener"]

_log = logging.getLogger(__name__)

HEAD_BYTES_MAX: Final = 8_192
"""A request's head; bodies are not read."""
HEAD_TIMEOUT_S: Final = 5.0
"""Time to send it."""
ANSWER_TIMEOUT_S: Final = 10.0
"""Time to take the answer."""
CONNECTIONS_MAX: Final = 32
"""At the same time; one more is closed at once."""

_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class OperationsListener:
    """Serves metrics and health.

    Args:
        metrics: the text of the metrics page.
        health: the engine's health; its ``status`` other than ``ok`` answers 503.
    """

    def __init__(self, metrics: Callable[[], str], health: Callable[[], dict[str, Any]]) -> None:
        self._metrics = metrics
        self._health = health
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[Any]] = set()

    async def start(self, listener: socket.socket) -> None:
        """Serve on a socket that listens already."""
        self._server = await asyncio.start_server(
            self._connected, sock=listener, limit=HEAD_BYTES_MAX
        )

    async def stop(self) -> None:
        """Stop serving. Harmless when repeated."""
        if self._server is None:
            return
        self._server.close()
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        self._server = None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._open) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        self._open.add(task)
        try:
            answer = await self._answer(reader)
            writer.write(answer)
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            # The reader went away, or takes too long: nobody is left to tell.
            pass
        finally:
            writer.transport.abort()
            self._open.discard(task)

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            async with asyncio.timeout(HEAD_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _problem(431, "the request's head is too long")
        parts = head.split(b"\r\n", 1)[0].split(b" ")
        if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
            return _problem(400, "this is no HTTP/1.1 request")
        method, target, _ = parts
        path = target.split(b"?", 1)[0]
        if path not in (b"/metrics", b"/healthz"):
            return _problem(404, "there are only /metrics and /healthz here")
        if method not in (b"GET", b"HEAD"):
            return _problem(405, "only GET and HEAD are understood", allow=True)
        try:
            answer = self._page(path)
        except Exception:
            _log.exception("an operator's page cannot be made")
            answer = _problem(500, "the page cannot be made: see the log")
        if method == b"HEAD":
            return answer[: answer.index(b"\r\n\r\n") + 4]
        return answer

    def _page(self, path: bytes) -> bytes:
        if path == b"/metrics":
            return _response(200, CONTENT_TYPE, self._metrics().encode())
        health = self._health()
        status = 200 if health.get("status") == "ok" else 503
        # Details are for those who sign in.
        body = json.dumps({"status": health.get("status", "unknown")}).encode()
        return _response(status, "application/json", body)


def _problem(status: int, detail: str, *, allow: bool = False) -> bytes:
    body = json.dumps({"status": status, "title": _REASONS[status], "detail": detail}).encode()
    return _response(
        status, "application/problem+json", body, b"Allow: GET, HEAD\r\n" if allow else b""
    )


def _response(status: int, content_type: str, body: bytes, extra: bytes = b"") -> bytes:
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n"
    ).encode()
    return head + extra + b"\r\n" + body
