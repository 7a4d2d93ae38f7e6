"""The running demo: the plant's processes, and what the terminal shows.

Owns the order of start and stop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

from fluxhybrid.demo.narrator import Narrator
from fluxhybrid.demo.output import plain
from fluxhybrid.demo.processes import Processes
from fluxhybrid.demo.provision import HOOK_PATH, PUMP, THERMOMETERS, VALVE, Plant, provision
from fluxhybrid.demo.stream import follow
from fluxhybrid.demo.terminal import Terminal

if TYPE_CHECKING:
    from fluxhybrid.app import Context

__all__ = ["Demo", "start_demo"]

_log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S: Final = 5.0
REFRESH_S: Final = 0.25
_STDOUT: Final = 1
# A title, the plant's devices, and one that somebody may add.
_BLOCK_LEN: Final = 3 + len(THERMOMETERS) + 1
_REACHABLE: Final = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}  # noqa: S104


class Demo:
    """A running demo. Made by `start_demo`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._stack = AsyncExitStack()
        self._refreshing: asyncio.Task[None] | None = None
        self._terminal = Terminal(_STDOUT, _BLOCK_LEN)
        title = f"{context.api_url}/docs ── Ctrl-C stops"
        self._narrator = Narrator(self._terminal, title)

    async def start(self) -> None:
        """Start everything; what was started is stopped again when something fails."""
        self._stack.callback(self._terminal.close)
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop everything, in bounded time. Harmless when repeated."""
        # First: should stopping be cut short, the terminal is whole again.
        if self._refreshing is not None:
            await _cancel(self._refreshing)
        self._terminal.give_back()
        await self._stack.aclose()

    async def _start(self) -> None:
        context = self._context
        # Opened here, so that its address is known before anybody serves it.
        with socket.create_server(("127.0.0.1", 0)) as listener:
            hook_url = f"http://127.0.0.1:{listener.getsockname()[1]}{HOOK_PATH}"
            pump_port = _free_port()
            plant = await provision(context.api_url, context.api_token, hook_url, pump_port)
            self._terminal.line("  Demo     a simulated plant: watch, or try the API meanwhile")
            await self._watch()
            await self._start_plant(plant, listener, pump_port)

    async def _watch(self) -> None:
        context, connected = self._context, asyncio.Event()
        following = follow(context.api_url, context.api_token, self._narrator, connected)
        task = asyncio.create_task(following, name="demo stream")
        task.add_done_callback(_complain)
        self._stack.push_async_callback(_cancel, task)
        self._refreshing = asyncio.create_task(self._refresh(), name="demo values")
        self._refreshing.add_done_callback(_complain)
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await connected.wait()

    async def _refresh(self) -> None:
        while True:
            self._narrator.refresh()
            await asyncio.sleep(REFRESH_S)

    async def _start_plant(self, plant: Plant, listener: socket.socket, pump_port: int) -> None:
        processes = Processes(self._ended)
        self._stack.push_async_callback(processes.stop)
        host, port = _endpoint(self._context.addresses["mqtt"])
        mqtt = {"host": host, "port": port}
        measured, flows = os.pipe()
        try:
            hook = {"listener_descriptor": listener.fileno(), "path": HOOK_PATH}
            await processes.start("webhook_receiver", hook, [listener.fileno()])
            await processes.start("valve", mqtt | _valve(plant, flows), [flows])
            await processes.start("thermometers", mqtt | _thermometers(plant, measured), [measured])
            if plant.has_pump:
                await processes.start("pump", {"key": PUMP, "port": pump_port})
        finally:
            os.close(measured)
            os.close(flows)

    def _ended(self, name: str, code: int) -> None:
        text = f"the process {plain(name)} ended by itself, with exit code {code}"
        self._narrator.tell("demo", text, "red")


async def start_demo(context: Context) -> Demo:
    """Start the demo in a platform that runs."""
    demo = Demo(context)
    await demo.start()
    return demo


def _thermometers(plant: Plant, measured: int) -> dict[str, Any]:
    return {
        "flow_descriptor": measured,
        "thermometers": [
            {
                "key": key,
                "secret": plant.secrets[key],
                "topic": plant.topics[key]["telemetry"],
                "nearness": nearness,
            }
            for key, (_, nearness) in THERMOMETERS.items()
        ],
    }


def _valve(plant: Plant, flows: int) -> dict[str, Any]:
    secret = plant.secrets[VALVE]
    return {"key": VALVE, "secret": secret, "flow_descriptor": flows, **plant.topics[VALVE]}


def _free_port() -> int:
    """A port for the pump, which has to be known before it listens: its address is in a tag."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _endpoint(address: str) -> tuple[str, int]:
    """Where to connect to, for an address that is listened on."""
    host, _, port = address.rpartition(":")
    return _REACHABLE.get(host, host.strip("[]")), int(port)


def _complain(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("%s failed", task.get_name(), exc_info=task.exception())


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
