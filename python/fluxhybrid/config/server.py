"""``[server]``: the HTTP API and the live page, for people."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fluxhybrid.config.quantities import ByteSize
from fluxhybrid.config.section import Host, ListenPort, Section

__all__ = ["ServerConfig"]


class ServerConfig(Section):
    """The HTTP API, its documentation and the live page: what people use."""

    host: Host = Field(
        "127.0.0.1",
        description="Address to listen on. Loopback reaches this machine only; "
        '"0.0.0.0" opens it to every network the machine is in.',
    )
    port: ListenPort = Field(8080, description="TCP port; 0 takes a free one.")
    request_bytes_max: Annotated[ByteSize, Field(ge=1024, le=64 * 2**20)] = Field(
        2**20, description="Largest request body; a longer one is refused with 413."
    )
