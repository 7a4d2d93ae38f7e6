"""What the tools need of the plugin host.

Owns the protocol. Must never import the extension module: tests put a host of their own in its
place.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["PluginHost"]


class PluginHost(Protocol):
    """Runs plugins in the sandbox, each call on its own: ``fluxhybrid.PluginManager``."""

    def load(self, source: str | os.PathLike[str] | bytes, plugin_id: str | None = None) -> str:
        """Load a module from a file or from its bytes; gives the id it goes by.

        Raises:
            Invalid: it is no plugin, with the reason.
        """
        ...

    def call_plugin(
        self,
        plugin_id: str,
        function: str,
        input: bytes,  # noqa: A002
        context: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any] | bytes:
        """Call a function of a plugin.

        Args:
            plugin_id: as ``load`` gave it.
            function: ``decode``, ``decode_batch``, ``encode``, ``on_msg`` or ``on_action``.
            input: as the ABI lays it out.
            context: ``source``, ``topic``, ``device`` (text), ``received_ns`` (whole number),
                ``settings``, ``subject`` (objects), ``request``, ``state`` (bytes).

        Returns:
            ``messages``, ``frames``, ``effects`` (each with its ``type``), ``state``, ``error``;
            of a batch, ``items`` of these.

        Raises:
            FluxError: the call failed, with the reason.
        """
        ...

    def get_pool_stats(self, plugin_id: str) -> Mapping[str, int]:
        """``available``, ``max_size``, ``hits``, ``misses``."""
        ...
