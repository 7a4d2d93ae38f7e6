"""``[webhook]``: how webhooks are sent, and sent again."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from fluxhybrid.config.quantities import Duration
from fluxhybrid.config.section import Section, contradiction

__all__ = ["WebhookConfig"]


class WebhookConfig(Section):
    """How webhooks are sent, and sent again when the receiver fails."""

    timeout: Annotated[Duration, Field(ge=timedelta(milliseconds=100), le=timedelta(minutes=5))] = (
        Field(timedelta(seconds=10), description="Time one attempt may take, answer included.")
    )
    retries_max: int = Field(
        8,
        ge=0,
        le=1_000,
        description="Attempts after the first. The action's own `max_age` ends them too.",
    )
    backoff_min: Annotated[
        Duration, Field(ge=timedelta(milliseconds=10), le=timedelta(hours=1))
    ] = Field(
        timedelta(seconds=1),
        description="Wait before the second attempt; it doubles with every further one.",
    )
    backoff_max: Annotated[Duration, Field(ge=timedelta(milliseconds=10), le=timedelta(days=1))] = (
        Field(timedelta(minutes=5), description="Longest wait between two attempts.")
    )
    destinations_max: int = Field(
        16,
        ge=1,
        le=1_000,
        description="Destinations served at the same time; each gets its webhooks in order.",
    )

    @model_validator(mode="after")
    def _backoff_is_not_inside_out(self) -> Self:
        if self.backoff_min > self.backoff_max:
            raise contradiction(
                "backoff_min",
                "is longer than backoff_max",
                "lower backoff_min or raise backoff_max",
                beside="backoff_max",
            )
        return self
