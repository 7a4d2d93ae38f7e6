"""A Modbus server for tests, by pymodbus: `server.py socket|rtu`; prints its port.

Units 1 and 2; holding register n of unit u is 100 * u + n.
"""

from __future__ import annotations

import asyncio
import sys

from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer


def unit(number: int) -> ModbusDeviceContext:
    # the block counts from 1, as the data model does
    block = ModbusSequentialDataBlock(1, [100 * number + n for n in range(100)])
    return ModbusDeviceContext(hr=block, ir=block)


async def main() -> None:
    context = ModbusServerContext({number: unit(number) for number in (1, 2)}, single=False)
    framer = FramerType(sys.argv[1])
    server = ModbusTcpServer(
        context, framer=framer, address=("127.0.0.1", 0), ignore_missing_devices=True
    )
    await server.listen()
    print(server.transport.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
