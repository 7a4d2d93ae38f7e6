"""HTTP: MQTT accounts, and publishing."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from fluxhybrid.accounts.routes import SignedIn
from fluxhybrid.configuration.paging import LIMIT_DEFAULT, Cursor, Limit
from fluxhybrid.configuration.parameters import PREFIX, Reference
from fluxhybrid.mqtt.model import (
    MessageIn,
    PrincipalIn,
    PrincipalList,
    PrincipalOut,
    PrincipalPatch,
    PrincipalWithSecret,
)
from fluxhybrid.mqtt.service import Messages, Principals
from fluxhybrid.storage.records import Principal

__all__ = ["messages_router", "principals_router"]

principals_router = APIRouter(prefix=f"{PREFIX}/principals", tags=["mqtt"])
messages_router = APIRouter(prefix=f"{PREFIX}/messages", tags=["mqtt"])


def _principals(request: Request) -> Principals:
    principals: Principals = request.app.state.principals
    return principals


def _messages(request: Request) -> Messages:
    messages: Messages = request.app.state.messages
    return messages


_Principals = Annotated[Principals, Depends(_principals)]
_Messages = Annotated[Messages, Depends(_messages)]


def _members(principal: Principal) -> dict[str, Any]:
    return {
        "id": principal.id,
        "username": principal.username,
        "enabled": principal.enabled,
        "has_secret": principal.secret_sha256 is not None,
        "publish": principal.publish,
        "subscribe": principal.subscribe,
        "created_at_ms": principal.created_at_ms,
        "updated_at_ms": principal.updated_at_ms,
    }


@principals_router.get("")
async def list_principals(
    principals: _Principals,
    session: SignedIn,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Annotated[Cursor | None, Query()] = None,
) -> PrincipalList:
    """List MQTT accounts that are not devices."""
    page = await principals.page(session.tenant_id, limit, cursor)
    items = [PrincipalOut(**_members(principal)) for principal in page.items]
    return PrincipalList(items=items, next_cursor=page.next_cursor)


@principals_router.post("", status_code=201)
async def add_principal(
    principals: _Principals, session: SignedIn, wanted: PrincipalIn
) -> PrincipalWithSecret:
    """Add an MQTT account; its secret is shown this once."""
    principal, secret = await principals.add(session.tenant_id, wanted)
    return PrincipalWithSecret(**_members(principal), secret=secret)


@principals_router.get("/{principal}")
async def get_principal(
    principals: _Principals, session: SignedIn, principal: Reference
) -> PrincipalOut:
    """Show an MQTT account."""
    return PrincipalOut(**_members(await principals.get(session.tenant_id, principal)))


@principals_router.patch("/{principal}")
async def change_principal(
    principals: _Principals, session: SignedIn, principal: Reference, patch: PrincipalPatch
) -> PrincipalOut:
    """Change what the body names; the rest stays."""
    changed = await principals.change(session.tenant_id, principal, patch)
    return PrincipalOut(**_members(changed))


@principals_router.delete("/{principal}", status_code=204)
async def remove_principal(
    principals: _Principals, session: SignedIn, principal: Reference
) -> None:
    """Remove an MQTT account."""
    await principals.remove(session.tenant_id, principal)


@principals_router.post("/{principal}/secret", status_code=201)
async def issue_principal_secret(
    principals: _Principals, session: SignedIn, principal: Reference
) -> PrincipalWithSecret:
    """Give an account a new secret, shown this once; the old one is refused from now on."""
    changed, secret = await principals.issue_secret(session.tenant_id, principal)
    return PrincipalWithSecret(**_members(changed), secret=secret)


@messages_router.post("", status_code=204)
async def publish_message(messages: _Messages, session: SignedIn, message: MessageIn) -> None:
    """Publish a message as if an MQTT client had; with QoS 1 it is on disk once this answers."""
    await messages.publish(session.tenant_id, message)
