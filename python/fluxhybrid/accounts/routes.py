"""HTTP: signing in, and API tokens."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from fluxhybrid.accounts.model import IssuedToken, Session, TokenIn, TokenList
from fluxhybrid.accounts.service import Accounts
from fluxhybrid.configuration.parameters import PREFIX

__all__ = ["SignedIn", "address_of", "router"]

router = APIRouter(prefix=f"{PREFIX}/tokens", tags=["accounts"])

_bearer = HTTPBearer(
    auto_error=False, scheme_name="token", description="A token issued by this server."
)


def _accounts(connection: HTTPConnection) -> Accounts:
    accounts: Accounts = connection.app.state.accounts
    return accounts


def address_of(connection: HTTPConnection) -> str:
    """Where a caller is."""
    return connection.client.host if connection.client else ""


async def _signed_in(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Session:
    token = credentials.credentials if credentials is not None else None
    return await _accounts(request).sign_in(token, address_of(request))


SignedIn = Annotated[Session, Depends(_signed_in)]
"""Who is asking; without a good token there is no answer."""

_Accounts = Annotated[Accounts, Depends(_accounts)]


@router.get("")
async def list_tokens(accounts: _Accounts, session: SignedIn) -> TokenList:
    """List API tokens, without their secrets."""
    return TokenList(items=await accounts.tokens(session))


@router.post("", status_code=201)
async def issue_token(accounts: _Accounts, session: SignedIn, wanted: TokenIn) -> IssuedToken:
    """Issue an API token; its secret is shown this once."""
    return await accounts.issue(session, wanted)


@router.delete("/{token_id}", status_code=204)
async def revoke_token(accounts: _Accounts, session: SignedIn, token_id: UUID) -> None:
    """Refuse a token from now on."""
    await accounts.revoke(session, token_id)
