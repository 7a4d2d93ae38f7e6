"""What rules need from the engine."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["Tester"]


class Tester(Protocol):
    """Tries a rule on a message, without a device and without effects."""

    def test(self, source: str, message: dict[str, Any], env: dict[str, Any]) -> dict[str, Any]:
        """What came of it; see ``engine.ports.ScriptTester``."""
        ...
