"""``[eventbus]``: the rings between the engine's stages."""

from __future__ import annotations

from pydantic import Field

from fluxhybrid.config.section import Section

__all__ = ["EventbusConfig"]


class EventbusConfig(Section):
    """The rings between the engine's stages and its subscribers."""

    capacity: int = Field(
        1024,
        ge=2,
        le=1_048_576,
        description="Messages in each ring and for each subscriber: 512 for light use, "
        "2048 to 4096 for heavy.",
    )
