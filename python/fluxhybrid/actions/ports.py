"""What running an action needs from the engine.

Owns the outbox protocols. Must never know what an action does.
"""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["Outbox", "Runner"]


class Outbox(Protocol):
    """The durable list of what is still to be done; see ``engine.ports``."""

    async def outbox_ready(self) -> None:
        """Wait until there may be something."""
        ...

    def take_outbox(self, limit: int) -> list[dict[str, Any]]:
        """Up to ``limit`` entries; each is given out once until completed."""
        ...

    def complete_outbox(self, entry_id: str, ok: bool, detail: str, attempts: int) -> None:
        """Report an entry done or given up."""
        ...

    def give_back_outbox(self, entry_id: str) -> None:
        """Hand an entry back: it will be given out again."""
        ...


class Runner(Protocol):
    """Runs the entries of one type of action."""

    def accept(self, entry: dict[str, Any]) -> None:
        """Take an entry in hand. Must not wait."""
        ...

    async def close(self) -> None:
        """Let go of everything: what is not reported is offered again after the next start."""
        ...
