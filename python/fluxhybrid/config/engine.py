"""``[engine]``: the data plane's shards and its log."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fluxhybrid.config.quantities import ByteSize, Duration
from fluxhybrid.config.section import Section, contradiction

__all__ = ["EngineConfig"]


class EngineConfig(Section):
    """The data plane: worker shards and the write-ahead log."""

    shards: int = Field(
        0,
        ge=0,
        le=256,
        description="Threads that decode and decide; 0 takes one for every two processors.",
    )
    durability: Literal["sync", "none"] = Field(
        "sync",
        description="`sync` acknowledges a message once it is on disk. `none` acknowledges at "
        "once: what a power cut loses was acknowledged, and start-up and metrics say so.",
    )
    log_segment_bytes: Annotated[ByteSize, Field(ge=8 * 2**20, le=2**32, multiple_of=4096)] = Field(
        32 * 2**20, description="Size of one file of the log, reserved ahead."
    )
    log_inflight_bytes_max: Annotated[ByteSize, Field(ge=4 * 2**20, le=2**30)] = Field(
        8 * 2**20,
        description="Bytes taken in but not yet on disk; beyond it, sources are paused.",
    )
    log_retention_bytes_max: Annotated[ByteSize, Field(ge=16 * 2**20, le=2**50)] = Field(
        2**30, description="Disk the log may fill before its oldest files go."
    )
    log_retention_age: Annotated[
        Duration, Field(ge=timedelta(minutes=1), le=timedelta(days=3650))
    ] = Field(timedelta(days=7), description="Age at which files of the log go.")

    offline_after: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(hours=24))] = Field(
        timedelta(seconds=5),
        description="Time a device may be without a connection before it is told to be offline; "
        "one that reconnects in time was never away.",
    )
    silent_after: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(days=30))] = (
        Field(
            timedelta(minutes=10),
            description="Time a device of a protocol without connections (HTTP, UDP) is online "
            "after it was heard; a product's link may say another.",
        )
    )

    @model_validator(mode="after")
    def _retention_holds_two_segments(self) -> Self:
        if self.log_retention_bytes_max < 2 * self.log_segment_bytes:
            raise contradiction(
                "log_retention_bytes_max",
                "is less than two segments of the log: one is always being written",
                "raise it to twice log_segment_bytes at least, or lower log_segment_bytes",
                beside="log_segment_bytes",
            )
        return self

    def shard_count(self) -> int:
        """Shards to start on this machine: the setting, or one for every two processors."""
        return self.shards or max(1, (os.cpu_count() or 1) // 2)
