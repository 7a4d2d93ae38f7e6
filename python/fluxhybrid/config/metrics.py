"""``[metrics]``: the page Prometheus reads."""

from __future__ import annotations

from pydantic import Field

from fluxhybrid.config.section import Host, ListenPort, Section

__all__ = ["MetricsConfig"]


class MetricsConfig(Section):
    """`/metrics` in the Prometheus text format, on a listener of its own without sign-in."""

    host: Host = Field(
        "127.0.0.1",
        description="Address to listen on. `--host` leaves it alone: whoever reaches it, reads it.",
    )
    port: ListenPort = Field(9090, description="TCP port; 0 takes a free one.")
