"""One run of `flux-load` against one server, and what it told."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benches.peers.plant import (
    LISTENER,
    PASSING_FILTER,
    PASSING_TOPIC,
    SECRET,
    TELEMETRY_TOPIC,
)
from benches.peers.servers import Server

__all__ = ["Load", "LoadError", "run_load"]


class LoadError(Exception):
    """The generator could not make its run."""


@dataclass(frozen=True)
class Load:
    """What is sent: the same to every server of a scenario."""

    publishers: int
    qos: int = 0
    window: int = 20
    rule: bool = True
    """Half of the messages pass a rule; without rules, by topic, the deliveries are the same."""
    rate: float = 0.0
    outstanding: int | None = None
    seconds: float = 5.0
    warmup: float = 1.0
    more: tuple[str, ...] = field(default=())

    def arguments(self, server: Server) -> list[str]:
        """The options of `flux-load`."""
        options: dict[str, object] = {
            "--port": server.port,
            "--server-pid": server.pid,
            "--publishers": self.publishers,
            "--qos": self.qos,
            "--window": self.window,
            "--rate": self.rate,
            "--duration": self.seconds,
            "--warmup": self.warmup,
            "--topic": TELEMETRY_TOPIC,
            "--connect-timeout": 60,
        }
        if self.outstanding is not None:
            options["--outstanding"] = self.outstanding
        if server.credentials is not None:
            options |= {
                "--credentials": server.credentials,
                "--subscriber-username": LISTENER,
                "--subscriber-password": SECRET,
            }
        if self.rule:
            options |= {"--pass-ratio": 0.5, "--expect": "passing", "--subscribe": PASSING_FILTER}
            if server.credentials is None:
                options |= {"--topic": PASSING_TOPIC, "--topic-below": TELEMETRY_TOPIC}
        else:
            options["--subscribe"] = "v1/devices/+/telemetry"
        return [text for pair in options.items() for text in map(str, pair)] + list(self.more)


def run_load(flux_load: Path, load: Load, server: Server) -> dict[str, Any]:
    """Run once; the report as `flux-load --json` gives it."""
    command = [str(flux_load), "--json", *load.arguments(server)]
    limit = 600 if "--search" in load.more else 240 + load.seconds
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=limit)
    if done.returncode != 0:
        raise LoadError(f"{server.name}: {done.stderr.strip()}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report
