"""HTTP: commands to devices."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from fluxhybrid.accounts.routes import SignedIn
from fluxhybrid.commands.model import (
    Command,
    CommandAccepted,
    CommandIn,
    CommandList,
    CommandStatus,
)
from fluxhybrid.commands.service import Commands
from fluxhybrid.configuration.paging import LIMIT_DEFAULT, EntryCursor, Limit
from fluxhybrid.configuration.parameters import PREFIX, Reference
from fluxhybrid.engine.notation import Key

__all__ = ["router"]

router = APIRouter(prefix=PREFIX, tags=["commands"])


def _commands(request: Request) -> Commands:
    commands: Commands = request.app.state.commands
    return commands


_Commands = Annotated[Commands, Depends(_commands)]


@router.post("/devices/{device}/commands", status_code=202)
async def send_command(
    commands: _Commands, session: SignedIn, device: Reference, wanted: CommandIn
) -> CommandAccepted:
    """Queue a command for a device; follow it by the id."""
    return CommandAccepted(id=await commands.send(session.tenant_id, device, wanted))


@router.get("/commands")
async def list_commands(
    commands: _Commands,
    session: SignedIn,
    device: Annotated[Key | None, Query(description="To the device with this key only.")] = None,
    status: Annotated[CommandStatus | None, Query(description="In this status only.")] = None,
    cursor: Annotated[EntryCursor | None, Query()] = None,
    limit: Limit = LIMIT_DEFAULT,
) -> CommandList:
    """List commands, newest first: all that are open, and the last that ended."""
    items, following = await commands.page(session.tenant_id, device, status, cursor, limit)
    return CommandList(items=[Command(**item) for item in items], next_cursor=following)


@router.get("/commands/{command_id}")
async def get_command(commands: _Commands, session: SignedIn, command_id: UUID) -> Command:
    """Show a command with its status and reply."""
    return Command(**await commands.get(session.tenant_id, command_id))
