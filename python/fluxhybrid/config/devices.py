"""``[devices]``: HTTP for devices."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from fluxhybrid.config.quantities import ByteSize, Duration
from fluxhybrid.config.section import Host, ListenPort, Section

__all__ = ["DevicesConfig"]

_Patience = Annotated[Duration, Field(ge=timedelta(milliseconds=100), le=timedelta(minutes=10))]


class DevicesConfig(Section):
    """HTTP for devices, apart from the API for people: `POST /device/v1/telemetry`."""

    host: Host = Field(
        "127.0.0.1",
        description="Address to listen on. Loopback reaches this machine only; "
        '"0.0.0.0" opens it to every network the machine is in.',
    )
    port: ListenPort = Field(8081, description="TCP port; 0 takes a free one.")
    workers: int = Field(1, ge=1, le=64, description="Network threads.")
    connections_max: int = Field(
        10_000, ge=1, le=4_000_000, description="Connections at the same time; one more is refused."
    )
    body_bytes_max: Annotated[ByteSize, Field(ge=1024, le=64 * 2**20)] = Field(
        2**20,
        description="Largest content of a request, also as the JSON made of it; a larger one is "
        "refused with 413.",
    )
    head_timeout: _Patience = Field(
        timedelta(seconds=10),
        description="Time from a request's first byte to the end of its head; then 408.",
    )
    body_timeout: _Patience = Field(
        timedelta(seconds=30), description="Time for a request's content; then 408."
    )
    keep_alive_timeout: _Patience = Field(
        timedelta(seconds=75), description="Time a connection may be idle between two requests."
    )
    requests_per_s_max: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Requests a second from one device, with a burst of one second; more are "
        "refused with 429. 0 is no limit.",
    )
