"""The HTTP server in this process's loop.

Owns uvicorn's settings, and the limits it lacks: on connections, and on the time a request's head
may take. Must never touch signals: ``app`` owns those.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from fluxhybrid.api.problems import of_status
from fluxhybrid.errors import Internal

__all__ = ["HttpServer"]

CONNECTIONS_MAX: Final = 1_000
"""Connections at the same time; one more is closed at once."""
HEAD_BYTES_MAX: Final = 32_768
"""A request's head."""
HEAD_TIMEOUT_S: Final = 10.0
"""Time to send the first request's head."""
KEEP_ALIVE_S: Final = 15
"""Time a connection may stay open between requests."""
STOP_TIMEOUT_S: Final = 3
"""Time requests have to finish when the server stops."""
SOCKET_MESSAGE_BYTES_MAX: Final = 4_096
"""What a client of the live stream may say at once: it has nothing to say."""


class _Protocol(H11Protocol):
    """uvicorn's HTTP/1.1, with a limit on connections and on the time a head may take."""

    _head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MAX:
            transport.abort()
            return
        self._head_deadline = self.loop.call_later(HEAD_TIMEOUT_S, self._no_head)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        if self._head_deadline is not None:
            self._head_deadline.cancel()
        super().connection_lost(exc)

    def _no_head(self) -> None:
        # uvicorn starts with no request at all, whatever its types say.
        if getattr(self, "scope", None) is None and not self.transport.is_closing():
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, in the shape of every error."""
        answer = of_status(
            400,
            "request.http",
            "this is no HTTP/1.1 request",
            hint="this port speaks plain HTTP; MQTT has a port of its own",
        )
        body = bytes(answer.body)
        head = (
            "HTTP/1.1 400 Bad Request\r\n"
            f"Content-Type: {answer.media_type}\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class _Server(uvicorn.Server):
    """uvicorn, without its signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


class HttpServer:
    """Serves an application.

    Args:
        app: what to serve.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._server = _Server(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="websockets-sansio",
                ws_max_size=SOCKET_MESSAGE_BYTES_MAX,
                # Compressing the same events for each watcher costs more than it saves.
                ws_per_message_deflate=False,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                # Whoever sits in front may say anything; addresses here are those of sockets.
                proxy_headers=False,
                h11_max_incomplete_event_size=HEAD_BYTES_MAX,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=STOP_TIMEOUT_S,
            )
        )
        self._task: asyncio.Task[Any] | None = None

    async def start(self, listener: socket.socket) -> None:
        """Serve on a socket that listens already.

        Raises:
            Internal: ``server.start``: the server ended before it began.
        """
        self._task = asyncio.create_task(self._server.serve([listener]), name="http")
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise Internal("server.start", "the HTTP server ended before it began")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Let requests finish, within bounds, and stop. Harmless when repeated."""
        task, self._task = self._task, None
        if task is None:
            return
        self._server.should_exit = True
        done, _ = await asyncio.wait((task,), timeout=STOP_TIMEOUT_S + 2)
        if not done:
            self._server.force_exit = True
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
