"""The plant that is measured: devices, an account that listens, and one rule.

Owns the configuration document, and who signs in with what. Secrets are derived from the device's
number: they guard nothing but a benchmark on loopback.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path
from typing import Any, Final

__all__ = [
    "LISTENER",
    "PASSING_FILTER",
    "PASSING_TOPIC",
    "SECRET",
    "TELEMETRY_TOPIC",
    "write_plant",
]

LISTENER: Final = "listener"
SECRET: Final = "benchmark"
TELEMETRY_TOPIC: Final = "v1/devices/d{n}/telemetry"
PASSING_TOPIC: Final = "hot/d{n}"
PASSING_FILTER: Final = "hot/+"

_NAMESPACE: Final = uuid.UUID("6f1d5d2e-3c1b-4d26-9a49-5b3c1f0e7a11")


def _id(what: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, what))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _rule(qos: int) -> dict[str, Any]:
    # What comes in goes out with its own payload, so that its number and time are found again.
    script = (
        "if msg.values.temperature > 30 { "
        f'publish("hot/" + msg.device_id, msg.payload, #{{qos: {qos}}}); }}'
    )
    sources = {"topics": [], "products": [_id("product")], "devices": []}
    return {"id": _id("rule"), "version": 1, "name": "hot", "trigger_script": script,
            "sources": sources}  # fmt: skip


def document(devices: int, *, rule_qos: int | None) -> dict[str, Any]:
    """The whole configuration; `rule_qos` is the QoS the rule publishes at, None leaves it out."""
    listener = {"id": _id("listener"), "username": LISTENER, "secret_sha256": _digest(SECRET),
                "publish": [], "subscribe": ["#"]}  # fmt: skip
    return {
        "generation": 1,
        "tenants": [{"id": 1, "name": "default"}],
        "principals": [listener],
        "products": [{"id": _id("product"), "key": "thermometer"}],
        "devices": [
            {"id": _id(f"device {n}"), "product": _id("product"), "key": f"d{n}",
             "secret_sha256": _digest(f"{SECRET}-{n}")}
            for n in range(devices)
        ],
        "rules": [] if rule_qos is None else [_rule(rule_qos)],
    }  # fmt: skip


def write_plant(directory: Path, devices: int, *, rule_qos: int | None) -> tuple[Path, Path]:
    """Write the configuration and the devices' credentials; give their paths."""
    configuration = directory / "plant.json"
    configuration.write_text(json.dumps(document(devices, rule_qos=rule_qos)))
    credentials = directory / "credentials.txt"
    credentials.write_text("".join(f"d{n} {SECRET}-{n}\n" for n in range(devices)))
    return configuration, credentials
