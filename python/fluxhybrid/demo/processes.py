"""The plant's processes, seen from their parent.

Owns their starting and stopping, and the pipes between them. Each hears its settings from a pipe
whose other end only this process holds: when it closes, for whatever reason, they end. Must never
put a secret on a command line or in an environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["Processes"]

STOP_TIMEOUT_S: Final = 3.0
"""Time the processes have to stop; after it they are killed."""


@dataclass(slots=True)
class _Process:
    name: str
    running: asyncio.subprocess.Process
    lifeline: int
    watching: asyncio.Task[None] | None = None


class Processes:
    """Processes that live as long as this one wants, and never longer than it.

    Args:
        ended: told when one ends by itself: its name and exit code.
    """

    def __init__(self, ended: Callable[[str, int], None]) -> None:
        self._ended = ended
        self._processes: list[_Process] = []
        self._stopping = False

    async def start(
        self, name: str, settings: Mapping[str, Any], descriptors: Iterable[int] = ()
    ) -> None:
        """Start one.

        Args:
            name: its module in ``fluxhybrid.demo.plant``.
            settings: what it is told.
            descriptors: file descriptors it takes over, under the same numbers.
        """
        hears, lifeline = os.pipe()
        try:
            running = await asyncio.create_subprocess_exec(
                sys.executable,
                # No module of whatever directory this is may take the place of the library's.
                "-P",
                "-m",
                f"fluxhybrid.demo.plant.{name}",
                stdin=hears,
                env=_environment(),
                pass_fds=tuple(descriptors),
                # Ctrl-C is for the parent, who tells its children.
                start_new_session=True,
            )
        except BaseException:
            os.close(lifeline)
            raise
        finally:
            os.close(hears)
        process = _Process(name, running, lifeline)
        self._processes.append(process)
        # Far less than a pipe holds. Who has died already cannot hear; its end is told anyhow.
        with contextlib.suppress(BrokenPipeError):
            os.write(lifeline, json.dumps(settings).encode() + b"\n")
        process.watching = asyncio.create_task(self._watch(process), name=f"demo {name}")

    async def stop(self) -> None:
        """Stop all of them, in bounded time. Harmless when repeated."""
        self._stopping = True
        processes, self._processes = self._processes, []
        for process in processes:
            os.close(process.lifeline)
        watching = [process.watching for process in processes if process.watching is not None]
        if not watching:
            return
        _, late = await asyncio.wait(watching, timeout=STOP_TIMEOUT_S)
        if late:
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    process.running.kill()
            await asyncio.wait(late, timeout=STOP_TIMEOUT_S)

    async def _watch(self, process: _Process) -> None:
        code = await process.running.wait()
        if not self._stopping:
            self._ended(process.name, code)


def _environment() -> dict[str, str]:
    """This process's environment, with which another interpreter finds this same library."""
    environment = dict(os.environ)
    home = Path(__file__).resolve().parents[2]
    installed = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
    if home not in installed:
        paths = [str(home), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return environment
