"""The pump's process: a controller that speaks Modbus TCP, by pymodbus, and waits to be asked.

Owns the registers and the pump's physics. Must never connect to the platform: it is polled.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Final

from pymodbus import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from fluxhybrid.demo.plant.child import Say, run

__all__ = ["main"]

PERIOD_S: Final = 0.5
START_RPM: Final = 1450
APPROACH: Final = 0.3
"""Of the way to the set speed, in a period."""
WATTS_PER_RPM3: Final = 2.5e-7
"""A pump's power goes with the cube of its speed (affinity laws): 760 W at the start."""
_UNIT: Final = 1
_READ_HOLDING: Final = 3
_WRITE_HOLDING: Final = 16
_SPEED, _SETPOINT = 0, 3


async def _serve(settings: dict[str, Any], say: Say, stop: threading.Event) -> None:
    registers = [0, 0, 0, START_RPM]
    block = SimData(_SPEED, values=registers, datatype=DataType.REGISTERS)
    server: Any = ModbusTcpServer(
        SimDevice(_UNIT, simdata=[block]),
        framer=FramerType.SOCKET,
        address=("127.0.0.1", settings["port"]),
    )
    await server.listen()
    say(settings["key"], f"waits for Modbus TCP on port {settings['port']}")
    speed, wanted = float(START_RPM), START_RPM
    try:
        while not stop.is_set():
            told = await server.async_getValues(_UNIT, _READ_HOLDING, _SETPOINT, 1)
            if told[0] != wanted:
                wanted = told[0]
                say(settings["key"], f"is told to run at {wanted} rpm")
            speed += (wanted - speed) * APPROACH
            power_w = round(WATTS_PER_RPM3 * speed**3)
            measured = [round(speed), power_w >> 16, power_w & 0xFFFF]
            await server.async_setValues(_UNIT, _WRITE_HOLDING, _SPEED, measured)
            await asyncio.sleep(PERIOD_S)
    finally:
        await server.shutdown()


def main(settings: dict[str, Any], say: Say, stop: threading.Event) -> None:
    """Answer until told to stop.

    Args:
        settings: ``key``, and the ``port`` to listen on.
        say: what it speaks with.
        stop: tells it to stop.
    """
    asyncio.run(_serve(settings, say, stop))


if __name__ == "__main__":
    run(main)
