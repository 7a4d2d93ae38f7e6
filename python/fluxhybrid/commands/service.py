"""What can be done with commands."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from fluxhybrid.commands.model import CommandIn
from fluxhybrid.commands.ports import CommandBook
from fluxhybrid.configuration.paging import cut
from fluxhybrid.configuration.references import find
from fluxhybrid.configuration.service import Configuration
from fluxhybrid.errors import NotFound

__all__ = ["Commands"]


class Commands:
    """Commands of a tenant.

    Args:
        configuration: where devices are looked up.
        book: where commands are.
    """

    def __init__(self, configuration: Configuration, book: CommandBook) -> None:
        self._configuration = configuration
        self._book = book

    async def send(self, tenant_id: int, reference: str, wanted: CommandIn) -> UUID:
        """Queue a command for a device; gives the command's id.

        Raises:
            NotFound: there is no such device.
            Unavailable: too many commands are open.
        """
        async with self._configuration.read() as transaction:
            device = await find(transaction.devices, "device", tenant_id, reference)
        return UUID(
            await asyncio.to_thread(
                self._book.send_command,
                tenant_id,
                device.key,
                wanted.command,
                wanted.params,
                wanted.max_age_ms,
            )
        )

    async def page(
        self,
        tenant_id: int,
        device_id: str | None,
        status: str | None,
        cursor: str | None,
        limit: int,
    ) -> tuple[list[dict[str, Any]], str | None]:
        """A page of commands, newest first, and where to go on."""
        found = await asyncio.to_thread(
            self._book.commands, tenant_id, device_id, status, cursor, limit + 1
        )
        return cut(found, limit)

    async def get(self, tenant_id: int, command_id: UUID) -> dict[str, Any]:
        """One command, with its status and reply.

        Raises:
            NotFound: there is none, or it ended long ago.
        """
        found = await asyncio.to_thread(self._book.command, tenant_id, str(command_id))
        if found is None:
            raise NotFound("command.not_found", f"there is no command {str(command_id)!r}")
        return found
