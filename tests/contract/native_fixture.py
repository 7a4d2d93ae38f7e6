"""A small plant for tests of the real engine: a thermometer, a valve, a watcher, a rule."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any, TypeVar

PRODUCT = "11111111-1111-4111-8111-111111111111"
VALVE_PRODUCT = "11111111-1111-4111-8111-111111111112"
RULE = "33333333-3333-4333-8333-333333333333"
PATIENCE_S = 30.0

T = TypeVar("T")


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def document(generation: int = 1, **rule: Any) -> dict[str, Any]:
    """A configuration; with members of a rule, that rule in it."""
    return {
        "generation": generation,
        "tenants": [{"id": 1, "name": "default"}],
        "products": [
            {"id": PRODUCT, "tenant": 1, "key": "thermometer"},
            {"id": VALVE_PRODUCT, "tenant": 1, "key": "valve"},
        ],
        "devices": [
            {
                "id": "22222222-2222-4222-8222-222222222221",
                "tenant": 1,
                "product": PRODUCT,
                "key": "thermo-1",
                "secret_sha256": sha256("t1"),
                "enabled": True,
            },
            {
                "id": "22222222-2222-4222-8222-222222222222",
                "tenant": 1,
                "product": VALVE_PRODUCT,
                "key": "valve-1",
                "secret_sha256": sha256("v1"),
                "enabled": True,
            },
        ],
        "rules": [rule_entry(**rule)] if rule else [],
        "env": {"site": "plant-7"},
    }


def rule_entry(**members: Any) -> dict[str, Any]:
    return {
        "id": RULE,
        "tenant": 1,
        "version": 1,
        "name": "too hot",
        "enabled": True,
        "trigger_script": "temperature > 30",
        "sources": {"products": [PRODUCT]},
        "actions": [],
        **members,
    }


def eventually(what: str, look: Callable[[], T | None]) -> T:
    """Look until something is seen; fails after some patience."""
    until = time.monotonic() + PATIENCE_S
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < until, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.005)
