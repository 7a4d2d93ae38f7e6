"""Shapes of accounts and messages, in and out."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import Field

from fluxhybrid.engine.notation import (
    Input,
    JsonValue,
    Key,
    Output,
    Topic,
    TopicFilter,
    absent,
)

__all__ = [
    "MessageIn",
    "PrincipalIn",
    "PrincipalList",
    "PrincipalOut",
    "PrincipalPatch",
    "PrincipalWithSecret",
]

GRANTS_MAX: Final = 64

Grants = Annotated[list[TopicFilter], Field(max_length=GRANTS_MAX)]


class PrincipalIn(Input):
    """An MQTT account to add."""

    username: Key = Field(description="What it signs in as; unique among devices' keys too.")
    enabled: bool = Field(True, description="Whether it may sign in.")
    publish: Grants = Field(default_factory=list, description="Where it may publish.")
    subscribe: Grants = Field(default_factory=list, description="What it may subscribe to.")


class PrincipalPatch(Input):
    """What to change in an account; the rest stays."""

    username: Key = Field(default_factory=absent)
    enabled: bool = Field(default_factory=absent)
    publish: Grants = Field(default_factory=absent)
    subscribe: Grants = Field(default_factory=absent)


class PrincipalOut(Output):
    """An MQTT account."""

    id: UUID
    username: str
    enabled: bool
    has_secret: bool
    publish: list[str]
    subscribe: list[str]
    created_at_ms: int
    updated_at_ms: int


class PrincipalWithSecret(PrincipalOut):
    """An account with a new secret: it is not kept, and cannot be shown again."""

    secret: str = Field(description="Its MQTT password.")


class PrincipalList(Output):
    """A page of accounts."""

    items: list[PrincipalOut]
    next_cursor: str | None


class MessageIn(Input):
    """A message to publish."""

    topic: Topic
    payload: JsonValue = Field(description="Text as it is, anything else as JSON.")
    qos: Literal[0, 1] = 1
