"""The whole platform on private ports, with an engine in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from fluxhybrid.app import Platform
from fluxhybrid.config import Config
from tests.contract.engine_double import EngineDouble, TesterDouble


@dataclass
class Running:
    platform: Platform
    engine: EngineDouble
    http: httpx.AsyncClient
    token: str

    @property
    def url(self) -> str:
        return f"http://{self.platform.addresses['api']}"


def config_in(directory: Path, **sections: dict[str, object]) -> Config:
    return Config.model_validate(
        {
            "data_dir": directory,
            "server": {"port": 0, **sections.pop("server", {})},
            "metrics": {"port": 0},
            "devices": {"port": 0},
            **sections,
        }
    )


@asynccontextmanager
async def running(directory: Path, **sections: dict[str, object]) -> AsyncIterator[Running]:
    engine = EngineDouble()
    platform = Platform(config_in(directory, **sections), engine, TesterDouble())
    await platform.start()
    try:
        token = platform.first_token or ""
        async with httpx.AsyncClient(
            base_url=f"http://{platform.addresses['api']}",
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
        ) as http:
            yield Running(platform, engine, http, token)
    finally:
        await platform.stop()
