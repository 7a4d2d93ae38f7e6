"""fluxhybrid: an industrial IoT platform on a Rust core.

Owns the public names of the library. Must never import anything heavy by itself: each name is
loaded at its first use, so that ``import fluxhybrid`` and ``fluxhybrid --help`` stay quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fluxhybrid.engine import Engine, EventBus, PluginManager, ScriptEngine
    from fluxhybrid.errors import (
        Conflict,
        Denied,
        FluxError,
        Internal,
        Invalid,
        NotFound,
        Unavailable,
    )

    __version__: str

__all__ = [
    "Conflict",
    "Denied",
    "Engine",
    "EventBus",
    "FluxError",
    "Internal",
    "Invalid",
    "NotFound",
    "PluginManager",
    "ScriptEngine",
    "Unavailable",
    "__version__",
]

_HOMES: Final = {
    "Engine": "fluxhybrid.engine",
    "EventBus": "fluxhybrid.engine",
    "PluginManager": "fluxhybrid.engine",
    "ScriptEngine": "fluxhybrid.engine",
    "Conflict": "fluxhybrid.errors",
    "Denied": "fluxhybrid.errors",
    "FluxError": "fluxhybrid.errors",
    "Internal": "fluxhybrid.errors",
    "Invalid": "fluxhybrid.errors",
    "NotFound": "fluxhybrid.errors",
    "Unavailable": "fluxhybrid.errors",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("fluxhybrid")
    elif name in _HOMES:
        from importlib import import_module

        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
