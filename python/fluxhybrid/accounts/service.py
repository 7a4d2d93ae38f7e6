"""Issuing and checking API tokens."""

from __future__ import annotations

import hmac
from collections import OrderedDict
from typing import Final
from uuid import UUID

from fluxhybrid.accounts.attempts import WrongAttempts
from fluxhybrid.accounts.model import IssuedToken, Session, TokenIn, TokenOut
from fluxhybrid.accounts.ports import TokenStore
from fluxhybrid.accounts.secrets import new_secret, sha256_hex
from fluxhybrid.configuration.ids import new_id, now_ms
from fluxhybrid.configuration.service import DEFAULT_TENANT
from fluxhybrid.errors import Conflict, Denied, NotFound
from fluxhybrid.storage.records import ApiToken

__all__ = ["TOKEN_PREFIX", "Accounts", "NotSignedIn", "TooManyAttempts"]

TOKEN_PREFIX: Final = "flux"  # noqa: S105
TOKEN_LEN_MAX: Final = 256
TOKENS_MAX: Final = 1_000
"""Tokens of one tenant."""
RECENT_MAX: Final = 1_024
"""Hashes of tokens that were right lately: theirs are looked up even for a blocked address."""


class NotSignedIn(Denied):
    """No token, or a wrong one."""


class TooManyAttempts(Denied):
    """Too many wrong tokens from one address.

    Args:
        wait_s: seconds to wait.
    """

    def __init__(self, wait_s: float) -> None:
        super().__init__(
            "auth.too_many_attempts",
            "too many wrong tokens came from this address",
            hint="wait a minute, then use the right one",
        )
        self.wait_s = wait_s


class Accounts:
    """API tokens.

    Args:
        store: where they are kept.
        attempts: what counts the wrong ones.
    """

    def __init__(self, store: TokenStore, attempts: WrongAttempts | None = None) -> None:
        self._store = store
        self._attempts = attempts or WrongAttempts()
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._own_sha256: str | None = None

    async def first_token(self) -> str | None:
        """A token for the first start; ``None`` when there are tokens already."""
        async with self._store.write() as transaction:
            if await transaction.tokens.count() > 0:
                return None
            record, token = _new_token("first start", None, DEFAULT_TENANT)
            await transaction.tokens.insert(record)
        return token

    def own_token(self) -> str:
        """A token for this process itself, never stored and gone with it."""
        token = new_secret(TOKEN_PREFIX)
        self._own_sha256 = sha256_hex(token)
        return token

    async def issue(self, session: Session, wanted: TokenIn) -> IssuedToken:
        """A new token, whose secret is shown this once.

        Raises:
            Conflict: the tenant has too many.
        """
        record, token = _new_token(wanted.name, wanted.expires_at_ms, session.tenant_id)
        async with self._store.write() as transaction:
            if len(await transaction.tokens.of(session.tenant_id)) >= TOKENS_MAX:
                raise Conflict(
                    "token.too_many", "there are too many tokens", hint="delete some first"
                )
            await transaction.tokens.insert(record)
        return IssuedToken(
            id=record.id,
            name=record.name,
            expires_at_ms=record.expires_at_ms,
            created_at_ms=record.created_at_ms,
            token=token,
        )

    async def tokens(self, session: Session) -> list[TokenOut]:
        """The tenant's tokens, without their secrets."""
        async with self._store.read() as transaction:
            found = await transaction.tokens.of(session.tenant_id)
        return [
            TokenOut(
                id=token.id,
                name=token.name,
                expires_at_ms=token.expires_at_ms,
                created_at_ms=token.created_at_ms,
            )
            for token in found
        ]

    async def revoke(self, session: Session, token_id: UUID) -> None:
        """Refuse a token from now on.

        Raises:
            NotFound: there is no such token.
        """
        async with self._store.write() as transaction:
            if not await transaction.tokens.delete(session.tenant_id, token_id):
                raise NotFound("token.not_found", f"there is no token {str(token_id)!r}")

    async def sign_in(self, token: str | None, address: str) -> Session:
        """Who holds this token.

        Args:
            token: what the caller showed; ``None`` when nothing.
            address: where the caller is.

        Raises:
            NotSignedIn: no token, a wrong one, or one that is over.
            TooManyAttempts: the address was wrong too often.
        """
        if token is None:
            raise NotSignedIn(
                "auth.missing",
                "this needs a token",
                hint='send the header "Authorization: Bearer <token>"; '
                "the first one was printed at the first start",
            )
        digest = sha256_hex(token[: TOKEN_LEN_MAX + 1])
        if self._own_sha256 is not None and hmac.compare_digest(digest, self._own_sha256):
            return Session(DEFAULT_TENANT, "this process", None)
        wait_s = self._attempts.wait_s(address)
        if wait_s > 0 and digest not in self._recent:
            raise TooManyAttempts(wait_s)
        found = await self._stored(digest)
        if found is None:
            self._attempts.wrong(address)
            self._recent.pop(digest, None)
            raise NotSignedIn(
                "auth.wrong",
                "the token is wrong, revoked or expired",
                hint="use one that was issued by this server",
            )
        self._remember(digest)
        return Session(found.tenant_id, found.name, found.id)

    async def _stored(self, digest: str) -> ApiToken | None:
        async with self._store.read() as transaction:
            found = await transaction.tokens.by_sha256(digest)
        # The index found it by a hash nobody can steer; comparing again costs nothing and does
        # not hang on the database's notion of equality.
        if found is None or not hmac.compare_digest(found.token_sha256, digest):
            return None
        if found.expires_at_ms is not None and found.expires_at_ms <= now_ms():
            return None
        return found

    def _remember(self, digest: str) -> None:
        self._recent[digest] = None
        self._recent.move_to_end(digest)
        while len(self._recent) > RECENT_MAX:
            self._recent.popitem(last=False)


def _new_token(name: str, expires_at_ms: int | None, tenant_id: int) -> tuple[ApiToken, str]:
    token = new_secret(TOKEN_PREFIX)
    record = ApiToken(
        id=new_id(),
        tenant_id=tenant_id,
        name=name,
        token_sha256=sha256_hex(token),
        expires_at_ms=expires_at_ms,
        created_at_ms=now_ms(),
    )
    return record, token
