"""From the engine's outbox to the runners.

Owns the waiting and the handing over. Must never wait for a runner: one that is slow keeps its
entries to itself, and the others go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from fluxhybrid.actions.ports import Outbox, Runner
from fluxhybrid.errors import FluxError

__all__ = ["OutboxRunner"]

_log = logging.getLogger(__name__)

TAKE_MAX: Final = 100
"""Entries taken at once."""
_FAULT_PAUSE_S: Final = 1.0
"""Pause after a fault, so that a lasting one does not spin."""


class OutboxRunner:
    """Hands the outbox's entries to those who run them.

    Args:
        outbox: where they come from.
        makers: for each type of action, what makes its runner; called when the first entry
            comes, so that what is not used is not loaded.
    """

    def __init__(self, outbox: Outbox, makers: Mapping[str, Callable[[], Runner]]) -> None:
        self._outbox = outbox
        self._makers = dict(makers)
        self.runners: Final[dict[str, Runner]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to take entries."""
        self._task = asyncio.create_task(self._run(), name="outbox")

    async def stop(self) -> None:
        """Stop taking entries and let go of those in hand. Harmless when repeated."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        for runner in self.runners.values():
            await runner.close()

    async def _run(self) -> None:
        while True:
            try:
                entries = self._outbox.take_outbox(TAKE_MAX)
                for entry in entries:
                    self._hand_over(entry)
                if entries:
                    # Many may wait: let requests have their turn between the batches.
                    await asyncio.sleep(0)
                else:
                    await self._outbox.outbox_ready()
            except FluxError as error:
                _log.warning("the outbox cannot be read: %s", error)
                await asyncio.sleep(_FAULT_PAUSE_S)
            except Exception:
                # Whatever it was, webhooks have to go on.
                _log.exception("the outbox failed")
                await asyncio.sleep(_FAULT_PAUSE_S)

    def _hand_over(self, entry: dict[str, Any]) -> None:
        action_type = str(entry["action"].get("type", ""))
        runner = self.runners.get(action_type)
        if runner is None:
            maker = self._makers.get(action_type)
            if maker is None:
                detail = f"nothing here runs actions of type {action_type!r}"
                self._outbox.complete_outbox(str(entry["id"]), False, detail, 0)
                return
            runner = self.runners[action_type] = maker()
        runner.accept(entry)
