"""``[devices]``: HTTP for devices."""

from __future__ import annotations

from pydantic import Field

from fluxhybrid.config.section import RESERVED, ListenPort, Section

__all__ = ["DevicesConfig"]


class DevicesConfig(Section):
    """HTTP for devices, apart from the API for people."""

    port: ListenPort = Field(
        8081, description="TCP port; 0 takes a free one.", json_schema_extra=RESERVED
    )
