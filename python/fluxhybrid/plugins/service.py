"""What can be done with the plugins of a running server."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import orjson

from fluxhybrid.engine.ports import EnginePort
from fluxhybrid.plugins.model import PluginIn

__all__ = ["Plugins"]

INSTALLS_MAX: Final = 1
"""Plugins compiled at the same time: each takes a processor."""


class Plugins:
    """The plugins of a running server: they are no tenant's, but the site's.

    Args:
        engine: where they run.
    """

    def __init__(self, engine: EnginePort) -> None:
        self._engine = engine
        self._installs = asyncio.Semaphore(INSTALLS_MAX)

    async def all(self) -> list[dict[str, Any]]:
        """Every plugin, by id."""
        return await asyncio.to_thread(self._engine.plugins)

    async def get(self, plugin_id: str) -> dict[str, Any]:
        """One plugin.

        Raises:
            NotFound: there is none of that id.
        """
        return await asyncio.to_thread(self._engine.plugin, plugin_id)

    async def install(self, wanted: PluginIn) -> dict[str, Any]:
        """Compile a plugin, try its vectors, and put it in force.

        Raises:
            Invalid: it is no plugin, or a vector fails; nothing has changed then.
        """
        vectors = None if wanted.vectors is None else orjson.dumps(wanted.vectors)
        manifest = None if wanted.manifest is None else wanted.manifest.encode()
        async with self._installs:
            return await asyncio.to_thread(
                self._engine.install_plugin, wanted.id, wanted.module_base64, vectors, manifest
            )

    async def roll_back(self, plugin_id: str) -> dict[str, Any]:
        """Put the version before the present one in force again.

        Raises:
            NotFound: there is none.
        """
        async with self._installs:
            return await asyncio.to_thread(self._engine.roll_back_plugin, plugin_id)

    async def reload(self, plugin_id: str) -> dict[str, Any]:
        """Look at the plugins' directory now; how the plugin is then.

        Raises:
            NotFound: there is none of that id.
        """
        async with self._installs:
            await asyncio.to_thread(self._engine.reload_plugins)
        return await self.get(plugin_id)

    async def remove(self, plugin_id: str) -> None:
        """Remove a plugin that was installed.

        Raises:
            NotFound: there is none of that id.
        """
        async with self._installs:
            await asyncio.to_thread(self._engine.remove_plugin, plugin_id)
