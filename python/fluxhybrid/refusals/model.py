"""Shapes of refusals, out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fluxhybrid.engine.notation import Output, Told

__all__ = ["Attempt", "RefusalList", "Refused"]

Attempt = Literal["connect", "stay", "publish", "subscribe", "message"]


class Refused(Told):
    """A refusal, once or several times. Times are milliseconds since 1970."""

    id: str = Field(description="Tells it from others while the server runs.")
    attempt: Attempt = Field(
        description="What was tried: to connect, to stay connected, to publish, to subscribe, to "
        "have a message understood."
    )
    source: str | None = Field(description="Who, as the engine names it; after a sign-in only.")
    username: str | None = Field(description="The user name given, or a device's key.")
    client_id: str | None
    address: str | None = Field(description="From where, the last time.")
    topic: str | None = Field(description="The topic or filter it was about.")
    code: str = Field(description="Why, in a stable word such as `auth.wrong_secret`.")
    reason: str = Field(description="Why, for people.")
    count: int = Field(description="How often.")
    first: int = Field(description="When it was refused first.")
    at: int = Field(description="When it was refused last.")


class RefusalList(Output):
    """What was refused lately, the last one first."""

    items: list[Refused]
    unlisted: int = Field(description="Refusals that came too fast to be listed.")
