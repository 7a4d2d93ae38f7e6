"""Plugins, for Python programs of their own and for trying them out.

Owns the names a plugin goes by when none is given. Must never carry out what a plugin asks for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fluxhybrid import _native
from fluxhybrid.errors import Invalid

__all__ = ["PluginManager"]


class PluginManager(_native.PluginManager):
    """Runs WebAssembly plugins in the sandbox.

        >>> from fluxhybrid import PluginManager
        >>> plugins = PluginManager(pool_size=2)
        >>> name = plugins.load(dummy_plugin)
        >>> said = plugins.call_plugin(name, "decode", b'{"temperature": 21.5}', {"device": "t1"})
        >>> said["messages"][0]["values"], plugins.get_pool_stats(name)["max_size"]
        ({'temperature': 21.5}, 2)

    Args:
        pool_size: instances kept of one plugin.
        dir: a directory that is watched for plugins.
        store: where compiled code and earlier versions are kept.
        limits: what plugins may use, by the names of ``docs/PLUGIN_DEV.md``.
    """

    def load(self, source: str | os.PathLike[str] | bytes, plugin_id: str | None = None) -> str:
        """Load a module from a file or from its bytes; gives the id it goes by.

        Vectors and metadata that lie beside a file (``meter.vectors.json`` and ``meter.toml``
        beside ``meter.wasm``) are taken along.

        Raises:
            Invalid: it is no plugin, or its vectors fail; what ran under the id goes on.
        """
        if isinstance(source, bytes):
            if plugin_id is None:
                raise Invalid("plugin.id", "bytes have no name", hint="give a plugin_id")
            self.install(plugin_id, source)
            return plugin_id
        path = Path(source)
        name = path.stem if plugin_id is None else plugin_id
        try:
            wasm = path.read_bytes()
        except OSError as error:
            raise Invalid(
                "plugin.store",
                f"{path} cannot be read: {error.strerror}",
                hint="check the path and its permissions",
            ) from error
        beside = [path.with_suffix(ending) for ending in (".vectors.json", ".toml")]
        vectors, manifest = (part.read_bytes() if part.is_file() else None for part in beside)
        self.install(name, wasm, vectors, manifest)
        return name

    def call_plugin(
        self,
        plugin_id: str,
        function: str,
        input: bytes,  # noqa: A002
        context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any] | bytes:
        """Call a function of a plugin.

        Args:
            plugin_id: as ``load`` gave it.
            function: ``decode``, ``decode_batch``, ``encode``, ``on_msg``, ``on_action`` or
                ``describe``.
            input: as the ABI lays it out.
            context: ``source``, ``topic``, ``device`` (text), ``received_ns`` (whole number),
                ``settings``, ``subject`` (objects), ``request``, ``state`` (bytes).

        Returns:
            ``messages``, ``frames``, ``effects``, ``state``, ``error``; of a batch, ``items`` of
            these; of ``describe`` the bytes as they are.

        Raises:
            NotFound: there is no such plugin.
            Invalid: the call failed, with the reason.
        """
        given = None if context is None else dict(context)
        return super().call_plugin(plugin_id, function, input, given)

    def get_pool_stats(self, plugin_id: str) -> dict[str, int]:
        """``available``, ``max_size``, ``hits``, ``misses``.

        Raises:
            NotFound: there is no such plugin.
        """
        pool = self.status(plugin_id)["pool"]
        return {name: pool[name] for name in ("available", "max_size", "hits", "misses")}
