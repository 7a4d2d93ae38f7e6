"""A small plant to look at: real devices in processes of their own, rules, a webhook.

Owns the demo's start and stop. Everything it does it does by the interfaces people use. Must never
be loaded without being asked for.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from fluxhybrid.errors import Unavailable

if TYPE_CHECKING:
    from fluxhybrid.app import Context
    from fluxhybrid.demo.running import Demo

__all__ = ["check", "start"]


def check() -> None:
    """Look whether the demo can run here at all: before anything is started for it.

    Raises:
        Unavailable: ``demo.extra_missing``.
    """
    for package, module in (("paho-mqtt", "paho.mqtt"), ("pymodbus", "pymodbus.server")):
        if find_spec(module.partition(".")[0]) is None or find_spec(module) is None:
            raise Unavailable(
                "demo.extra_missing",
                f"the demo's devices need {package}, which is not installed",
                hint="pip install 'fluxhybrid[demo]'",
            )


async def start(context: Context) -> Demo:
    """Set the plant up in a platform that runs, and start it.

    Args:
        context: the platform.

    Raises:
        Unavailable: ``demo.extra_missing``.
        Conflict: ``demo.key_taken``: the data directory has things of these names already.
    """
    check()
    from fluxhybrid.demo.running import start_demo

    return await start_demo(context)
