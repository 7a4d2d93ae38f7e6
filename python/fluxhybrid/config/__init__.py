"""Configuration: one model for each TOML section, and the only home of defaults.

Owns reading and checking settings. Must never start anything, nor know who uses a setting.
"""

from fluxhybrid.config.database import DatabaseConfig, database_url_for_display, sqlalchemy_url
from fluxhybrid.config.devices import DevicesConfig
from fluxhybrid.config.engine import EngineConfig
from fluxhybrid.config.eventbus import EventbusConfig
from fluxhybrid.config.layers import Flag, Loaded, find_file, load
from fluxhybrid.config.logging import LoggingConfig
from fluxhybrid.config.metrics import MetricsConfig
from fluxhybrid.config.model import Config
from fluxhybrid.config.mqtt import MqttConfig
from fluxhybrid.config.plugins import PluginsConfig
from fluxhybrid.config.problems import Origin
from fluxhybrid.config.rules import RulesConfig
from fluxhybrid.config.server import ServerConfig
from fluxhybrid.config.site import SiteConfig
from fluxhybrid.config.telemetry import TelemetryConfig
from fluxhybrid.config.webhook import WebhookConfig

__all__ = [
    "Config",
    "DatabaseConfig",
    "DevicesConfig",
    "EngineConfig",
    "EventbusConfig",
    "Flag",
    "Loaded",
    "LoggingConfig",
    "MetricsConfig",
    "MqttConfig",
    "Origin",
    "PluginsConfig",
    "RulesConfig",
    "ServerConfig",
    "SiteConfig",
    "TelemetryConfig",
    "WebhookConfig",
    "database_url_for_display",
    "find_file",
    "load",
    "sqlalchemy_url",
]
