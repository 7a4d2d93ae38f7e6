"""Shapes of API tokens, in and out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from pydantic import Field

from fluxhybrid.engine.notation import INTEGER_MAX, Input, Name, Output

__all__ = ["IssuedToken", "Session", "TokenIn", "TokenList", "TokenOut"]


@dataclass(frozen=True, slots=True)
class Session:
    """Who is asking."""

    tenant_id: int
    token_name: str
    token_id: UUID | None
    """``None`` for the program's own."""


class TokenIn(Input):
    """A token to issue."""

    name: Name = Field(description="Whose it is, or what for.")
    expires_at_ms: Annotated[int, Field(ge=0, le=INTEGER_MAX)] | None = Field(
        None, description="Milliseconds since 1970 after which it is refused; never if left out."
    )


class TokenOut(Output):
    """A token, without its secret."""

    id: UUID
    name: str
    expires_at_ms: int | None
    created_at_ms: int


class IssuedToken(TokenOut):
    """A new token, with its secret: it is not kept, and cannot be shown again."""

    token: str


class TokenList(Output):
    """A tenant's tokens."""

    items: list[TokenOut]
