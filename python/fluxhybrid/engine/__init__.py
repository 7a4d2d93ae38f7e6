"""The engine, seen from Python: a typed facade over the extension module.

Owns the only door to ``fluxhybrid._native``. Must never decide anything: what is true about
messages is decided in Rust, what is configured is decided above. The extension module is loaded
with the first name that needs it, so that the protocols can be used without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fluxhybrid.engine.facade import Engine, EventBus, PluginManager, ScriptEngine

__all__ = ["Engine", "EventBus", "PluginManager", "ScriptEngine"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from fluxhybrid.engine import facade

        return getattr(facade, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
