"""Sockets to listen on.

Owns the binding, and what is said when it fails. Must never share a port: one that is in use is an
error, not a surprise.
"""

from __future__ import annotations

import errno
import socket
from typing import Final

from fluxhybrid.errors import Conflict, Denied, FluxError, Invalid

__all__ = ["address_text", "listen"]

BACKLOG: Final = 256


def listen(section: str, host: str, port: int) -> socket.socket:
    """A TCP socket that listens on this address.

    Args:
        section: whose address it is in the configuration, for the error: ``server``.
        host: IPv4, IPv6 or a name.
        port: 0 for a free one.

    Raises:
        Conflict: ``listen.in_use``.
        Denied: ``listen.denied``: a port only administrators may take.
        Invalid: ``listen.address``: there is no such address here.
    """
    listener: socket.socket | None = None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        # A port whose last connections still linger may be taken again; one in use may not.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except (OSError, UnicodeError) as error:
        if listener is not None:
            listener.close()
        raise _fault(section, host, port, error) from error
    return listener


def address_text(listener: socket.socket) -> str:
    """``host:port`` as it is bound, IPv6 in brackets."""
    name = listener.getsockname()
    host = f"[{name[0]}]" if listener.family == socket.AF_INET6 else name[0]
    return f"{host}:{name[1]}"


def _fault(section: str, host: str, port: int, error: Exception) -> FluxError:
    number = getattr(error, "errno", None)
    pointer = f"/{section}/port"
    if number == errno.EADDRINUSE:
        return Conflict(
            "listen.in_use",
            f"port {port} on {host} is in use",
            hint=f"stop what uses it, or choose another [{section}] port",
            pointer=pointer,
        )
    if number in (errno.EACCES, errno.EPERM):
        return Denied(
            "listen.denied",
            f"port {port} on {host} may not be listened on",
            hint=f"choose a [{section}] port above 1023",
            pointer=pointer,
        )
    return Invalid(
        "listen.address",
        f"{host}, port {port}, cannot be listened on: {error}",
        hint=f"check [{section}] host",
        pointer=f"/{section}/host",
    )
