"""The whole configuration: one section for each table of ``fluxhybrid.toml``.

Owns the list of sections. Must never read a file or the environment: that is ``layers``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from fluxhybrid.config.database import DatabaseConfig
from fluxhybrid.config.devices import DevicesConfig
from fluxhybrid.config.engine import EngineConfig
from fluxhybrid.config.eventbus import EventbusConfig
from fluxhybrid.config.gateway import GatewayConfig
from fluxhybrid.config.logging import LoggingConfig
from fluxhybrid.config.metrics import MetricsConfig
from fluxhybrid.config.mqtt import MqttConfig
from fluxhybrid.config.plugins import PluginsConfig
from fluxhybrid.config.rules import RulesConfig
from fluxhybrid.config.section import Section, contradiction
from fluxhybrid.config.server import ServerConfig
from fluxhybrid.config.site import SiteConfig
from fluxhybrid.config.telemetry import TelemetryConfig
from fluxhybrid.config.webhook import WebhookConfig

__all__ = ["Config"]


def _path(value: Any) -> Any:
    return Path(value) if isinstance(value, str) and value else value


class Config(Section):
    """Everything that can be set. Every key is optional: ``Config()`` is a working whole."""

    data_dir: Annotated[Path, BeforeValidator(_path)] = Field(
        Path("./fluxhybrid-data"),
        description="Log, series, compiled plugins and configuration, `flux.db`. A relative "
        "path starts at the working directory. One process at a time.",
    )
    server: ServerConfig = ServerConfig()
    mqtt: MqttConfig = MqttConfig()
    devices: DevicesConfig = DevicesConfig()
    gateway: GatewayConfig = GatewayConfig()
    metrics: MetricsConfig = MetricsConfig()
    eventbus: EventbusConfig = EventbusConfig()
    database: DatabaseConfig = DatabaseConfig()
    plugins: PluginsConfig = PluginsConfig()
    logging: LoggingConfig = LoggingConfig()
    engine: EngineConfig = EngineConfig()
    rules: RulesConfig = RulesConfig()
    telemetry: TelemetryConfig = TelemetryConfig()
    webhook: WebhookConfig = WebhookConfig()
    site: SiteConfig = SiteConfig()

    @model_validator(mode="after")
    def _packet_fits_the_log(self) -> Self:
        if self.mqtt.packet_bytes_max * 2 > self.engine.log_inflight_bytes_max:
            raise contradiction(
                "mqtt.packet_bytes_max",
                "is more than half of engine.log_inflight_bytes_max: one message could stop all",
                "lower it, or raise engine.log_inflight_bytes_max",
                beside="engine.log_inflight_bytes_max",
            )
        if self.mqtt.packet_bytes_max * 4 > self.engine.log_segment_bytes:
            raise contradiction(
                "mqtt.packet_bytes_max",
                "is more than a quarter of engine.log_segment_bytes: a batch would not fit",
                "lower it, or raise engine.log_segment_bytes",
                beside="engine.log_segment_bytes",
            )
        return self

    def sqlalchemy_url(self) -> str:
        """The metadata database's URL for SQLAlchemy's asyncio drivers."""
        return self.database.sqlalchemy_url(self.data_dir)
