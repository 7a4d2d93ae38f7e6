"""What accounts need from storage."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

from fluxhybrid.storage.records import ApiToken

__all__ = ["TokenStore", "TokenTransaction", "Tokens"]


class Tokens(Protocol):
    """Bearer tokens."""

    async def insert(self, token: ApiToken) -> None:
        """Add a token."""
        ...

    async def by_sha256(self, token_sha256: str) -> ApiToken | None:
        """The token with this hash."""
        ...

    async def of(self, tenant_id: int) -> list[ApiToken]:
        """A tenant's tokens."""
        ...

    async def count(self) -> int:
        """How many there are."""
        ...

    async def delete(self, tenant_id: int, token_id: UUID) -> bool:
        """Remove a token; says whether it was there."""
        ...


class TokenTransaction(Protocol):
    """What accounts need of a transaction."""

    @property
    def tokens(self) -> Tokens:
        """Bearer tokens."""
        ...


class TokenStore(Protocol):
    """Where tokens are kept."""

    def read(self) -> AbstractAsyncContextManager[TokenTransaction]:
        """A transaction that only reads."""
        ...

    def write(self) -> AbstractAsyncContextManager[TokenTransaction]:
        """A transaction that writes."""
        ...
