"""The configuration as the engine reads it.

Owns the names the engine knows settings by. Must never hold a default: those are the
configuration's.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from fluxhybrid.config import Config, PluginsConfig, RulesConfig

__all__ = ["BUNDLED_PLUGINS", "engine_settings", "plugin_limits", "rule_limits"]

BUNDLED_PLUGINS: Final = Path(__file__).parents[1] / "plugins" / "ready"
"""Where the plugins lie that come with the package."""


def engine_settings(config: Config) -> dict[str, Any]:
    """Everything the engine is told at start; durations in the unit at the end of the name."""
    mqtt, plane, telemetry = config.mqtt, config.engine, config.telemetry
    devices, gateway = config.devices, config.gateway
    return {
        "data_dir": str(config.data_dir.absolute()),
        "mqtt": {
            "host": mqtt.host,
            "port": mqtt.port,
            "workers": mqtt.workers,
            "allow_anonymous": mqtt.allow_anonymous,
            "connections_max": mqtt.connections_max,
            "packet_bytes_max": mqtt.packet_bytes_max,
            "connect_timeout_ms": _ms(mqtt.connect_timeout),
            "keep_alive_max_s": _s(mqtt.keep_alive_max),
            "sessions_max": mqtt.sessions_max,
            "session_expiry_max_s": _s(mqtt.session_expiry_max),
            "session_queue_len_max": mqtt.session_queue_len_max,
            "session_queue_bytes_max": mqtt.session_queue_bytes_max,
            "queue_bytes_total_max": mqtt.queue_bytes_total_max,
            "session_inflight_max": mqtt.session_inflight_max,
            "session_receive_max": mqtt.session_receive_max,
            "session_subscriptions_max": mqtt.session_subscriptions_max,
            "subscriptions_max": mqtt.subscriptions_max,
        },
        "devices": {
            "host": devices.host,
            "port": devices.port,
            "workers": devices.workers,
            "connections_max": devices.connections_max,
            "body_bytes_max": devices.body_bytes_max,
            "head_timeout_ms": _ms(devices.head_timeout),
            "body_timeout_ms": _ms(devices.body_timeout),
            "keep_alive_timeout_ms": _ms(devices.keep_alive_timeout),
            "requests_per_s_max": devices.requests_per_s_max,
        },
        "gateway": {
            "workers": gateway.workers,
            "connections_max": gateway.connections_max,
            "connect_timeout_ms": _ms(gateway.connect_timeout),
            "reconnect_min_ms": _ms(gateway.reconnect_min),
            "reconnect_max_ms": _ms(gateway.reconnect_max),
            "listeners": gateway.listeners,
        },
        "engine": {
            "shards": plane.shard_count(),
            "durability": plane.durability,
            "log_segment_bytes": plane.log_segment_bytes,
            "log_inflight_bytes_max": plane.log_inflight_bytes_max,
            "log_retention_bytes_max": plane.log_retention_bytes_max,
            "log_retention_age_ms": _ms(plane.log_retention_age),
            "offline_after_ms": _ms(plane.offline_after),
            "silent_after_ms": _ms(plane.silent_after),
        },
        "eventbus": {"capacity": config.eventbus.capacity},
        "rules": rule_limits(config.rules),
        "plugins": {
            "dir": str(config.plugins.dir.absolute()),
            "bundled_dir": str(BUNDLED_PLUGINS),
            "limits": plugin_limits(config.plugins),
        },
        "telemetry": {
            "head_bytes_max": telemetry.head_bytes_max,
            "flush_interval_ms": _ms(telemetry.flush_interval),
            "series_len_max": telemetry.series_len_max,
            "series_per_device_max": telemetry.series_per_device_max,
            "retention_bytes_max": telemetry.retention_bytes_max,
            "retention_age_ms": _ms(telemetry.retention_age),
            "points_max": telemetry.points_max,
        },
    }


def plugin_limits(plugins: PluginsConfig) -> dict[str, Any]:
    """What one plugin may take."""
    return {
        "pool_size": plugins.pool_size,
        "max_memory_bytes": plugins.max_memory_bytes,
        "max_table_elements": plugins.max_table_elements,
        "max_instances": plugins.max_instances,
        "max_tables": plugins.max_tables,
        "max_memories": plugins.max_memories,
        "deadline_ms": _ms(plugins.call_deadline),
    }


def rule_limits(rules: RulesConfig) -> dict[str, Any]:
    """What one call of a script may take."""
    return {
        "operations_max": rules.operations_max,
        "call_depth_max": rules.call_depth_max,
        "expression_depth_max": rules.expression_depth_max,
        "string_bytes_max": rules.string_bytes_max,
        "array_len_max": rules.array_len_max,
        "map_len_max": rules.map_len_max,
        "call_deadline_us": rules.call_deadline // timedelta(microseconds=1),
    }


def _ms(value: timedelta) -> int:
    return value // timedelta(milliseconds=1)


def _s(value: timedelta) -> int:
    return value // timedelta(seconds=1)
