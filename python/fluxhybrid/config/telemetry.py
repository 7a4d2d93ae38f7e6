"""``[telemetry]``: what is kept of what devices report."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from fluxhybrid.config.quantities import ByteSize, Duration
from fluxhybrid.config.section import Section

__all__ = ["TelemetryConfig"]


class TelemetryConfig(Section):
    """The time-series store: what is kept of what devices report, and for how long."""

    head_bytes_max: Annotated[ByteSize, Field(ge=2**20, le=2**34)] = Field(
        64 * 2**20, description="Memory of samples that are not in a block on disk yet."
    )
    flush_interval: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(hours=1))] = (
        Field(
            timedelta(minutes=5),
            description="How long samples wait in memory until they are written into a block. The "
            "log has them meanwhile; it bounds what is replayed after a crash.",
        )
    )
    series_len_max: int = Field(
        250_000, ge=1, le=100_000_000, description="Series altogether; half a KiB of memory each."
    )
    series_per_device_max: int = Field(1_000, ge=1, le=100_000, description="Series of one device.")
    retention_bytes_max: Annotated[ByteSize, Field(ge=2**20, le=2**50)] = Field(
        16 * 2**30, description="Disk the blocks may fill before the oldest go."
    )
    retention_age: Annotated[Duration, Field(ge=timedelta(hours=1), le=timedelta(days=36_500))] = (
        Field(timedelta(days=3_650), description="Age at which blocks go.")
    )
    points_max: int = Field(
        100_000, ge=100, le=10_000_000, description="Points of one answer; the rest is paged."
    )
