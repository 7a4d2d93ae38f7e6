"""The webhook receiver's process: a web server that wants to be told, such as a ticket system.

Owns a socket that its parent opened. Must never believe a request's length.
"""

from __future__ import annotations

import json
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final

from fluxhybrid.demo.plant.child import Say, run
from fluxhybrid.demo.wording import short_id, values_text

__all__ = ["main"]

BODY_BYTES_MAX: Final = 65_536
REQUEST_TIMEOUT_S: Final = 2.0
NAME: Final = "webhook"


def _handler(path: str, say: Say) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers requests, one at a time."""

        timeout = REQUEST_TIMEOUT_S

        def do_POST(self) -> None:
            """Hear of a firing."""
            status, text = self._judged()
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            say(NAME, f"{text}; answers {status.value}")

        def _judged(self) -> tuple[HTTPStatus, str]:
            if self.path != path:
                return HTTPStatus.NOT_FOUND, f"is called at {self.path}"
            length = self.headers.get("Content-Length", "")
            if not length.isascii() or not length.isdigit() or len(length) > 9:
                return HTTPStatus.LENGTH_REQUIRED, "is sent something without a length"
            if int(length) > BODY_BYTES_MAX:
                return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "is sent too much"
            try:
                body = json.loads(self.rfile.read(int(length)))
                return HTTPStatus.NO_CONTENT, _told(body)
            except (ValueError, TypeError, KeyError, AttributeError):
                return HTTPStatus.BAD_REQUEST, "is sent something it does not understand"

        def log_message(self, *_: object) -> None:
            """Say nothing else."""

    return Handler


def _told(body: dict[str, Any]) -> str:
    values = values_text(body["values"])
    return (
        f"is told of firing {short_id(body['firing'])}: "
        f'"{body["rule"]["name"]}" by {body["device"]} at {values}'
    )


def main(settings: dict[str, Any], say: Say, stop: threading.Event) -> None:
    """Serve until told to stop.

    Args:
        settings: ``listener_descriptor``, the socket, and the ``path`` to serve.
        say: what it speaks with.
        stop: tells it to stop.
    """
    server = HTTPServer(("127.0.0.1", 0), _handler(settings["path"], say), bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=settings["listener_descriptor"])

    def end() -> None:
        stop.wait()
        server.shutdown()

    threading.Thread(target=end, name="end", daemon=True).start()
    with server:
        server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    run(main)
