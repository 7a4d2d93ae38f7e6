"""HTTP: plugins."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from fluxhybrid.accounts.routes import SignedIn
from fluxhybrid.configuration.parameters import PREFIX
from fluxhybrid.engine.notation import PluginId
from fluxhybrid.plugins.model import PluginIn, PluginList, PluginOut
from fluxhybrid.plugins.service import Plugins

__all__ = ["router"]

router = APIRouter(prefix=PREFIX, tags=["plugins"])


def _plugins(request: Request) -> Plugins:
    plugins: Plugins = request.app.state.plugins
    return plugins


_Plugins = Annotated[Plugins, Depends(_plugins)]
_PluginId = Annotated[PluginId, Path(alias="plugin")]


@router.get("/plugins")
async def list_plugins(plugins: _Plugins, session: SignedIn) -> PluginList:
    """List plugins, with how they fare."""
    return PluginList(items=[PluginOut(**plugin) for plugin in await plugins.all()])


@router.post("/plugins", status_code=201)
async def install_plugin(plugins: _Plugins, session: SignedIn, wanted: PluginIn) -> PluginOut:
    """Put a plugin in force, in place of what runs under its id.

    It is compiled and tried with its vectors first; where that fails, nothing is changed.
    """
    return PluginOut(**await plugins.install(wanted))


@router.get("/plugins/{plugin}")
async def get_plugin(plugins: _Plugins, session: SignedIn, plugin: _PluginId) -> PluginOut:
    """Show a plugin."""
    return PluginOut(**await plugins.get(plugin))


@router.delete("/plugins/{plugin}", status_code=204)
async def remove_plugin(plugins: _Plugins, session: SignedIn, plugin: _PluginId) -> None:
    """Remove a plugin that was installed."""
    await plugins.remove(plugin)


@router.post("/plugins/{plugin}:reload")
async def reload_plugin(plugins: _Plugins, session: SignedIn, plugin: _PluginId) -> PluginOut:
    """Look at the plugins' directory now, without waiting for it to be noticed."""
    return PluginOut(**await plugins.reload(plugin))


@router.post("/plugins/{plugin}:rollback")
async def roll_back_plugin(plugins: _Plugins, session: SignedIn, plugin: _PluginId) -> PluginOut:
    """Put the version before the present one in force again. Twice is there and back."""
    return PluginOut(**await plugins.roll_back(plugin))
