"""What MQTT's configuration needs from the engine."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Publisher"]


class Publisher(Protocol):
    """Publishes as if a client had."""

    def publish(self, tenant: int, topic: str, payload: bytes, qos: int) -> None:
        """Publish a message."""
        ...
