"""Publish a message. Carried out by the engine."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from fluxhybrid.engine.notation import Input, JsonValue, Topic

__all__ = ["EXAMPLES", "PublishSettings"]

EXAMPLES: Final = (
    {"type": "publish", "topic": "plant/alerts", "payload": {"text": "too hot"}, "qos": 1},
)


class PublishSettings(Input):
    """Publish a message to subscribers."""

    type: Literal["publish"] = Field(description="The letters' case does not matter.")
    topic: Topic = Field(description="Topic to publish to.")
    payload: JsonValue = Field(description="Text as it is, anything else as JSON.")
    qos: Literal[0, 1] = Field(1, description="Quality of service.")
    retain: bool = Field(
        False, description="Marks it as retained. It is not kept yet for those who subscribe later."
    )
