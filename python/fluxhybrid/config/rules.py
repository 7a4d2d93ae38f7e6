"""``[rules]``: what one call of a rule may take."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from fluxhybrid.config.quantities import ByteSize, Duration
from fluxhybrid.config.section import Section

__all__ = ["RulesConfig"]


class RulesConfig(Section):
    """What one call of a rule or of a transform may take before it is stopped."""

    operations_max: int = Field(
        100_000, ge=100, le=1_000_000_000, description="Operations of the script."
    )
    call_depth_max: int = Field(32, ge=1, le=128, description="Nesting of function calls.")
    expression_depth_max: int = Field(
        64, ge=8, le=256, description="Nesting of expressions in the source."
    )
    string_bytes_max: Annotated[ByteSize, Field(ge=256, le=2**26)] = Field(
        64 * 2**10, description="Length of a string."
    )
    array_len_max: int = Field(10_000, ge=16, le=10_000_000, description="Elements of an array.")
    map_len_max: int = Field(1_000, ge=16, le=1_000_000, description="Entries of a map.")
    call_deadline: Annotated[
        Duration, Field(ge=timedelta(microseconds=100), le=timedelta(seconds=10))
    ] = Field(timedelta(milliseconds=5), description="Time a call may take.")
