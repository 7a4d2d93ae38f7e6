"""What the demo sets up in the platform: by the HTTP API, as anyone would.

Owns the products, devices and rules of the simulated plant. Must never touch a thing that is not
the demo's own, keep a secret anywhere but in memory, or undo what somebody changed in its rules to
see what happens.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from fluxhybrid.errors import Conflict, Problem, error_of_kind

__all__ = ["HOOK_PATH", "PUMP", "THERMOMETERS", "VALVE", "Plant", "provision"]

HOOK_PATH: Final = "/hooks/plant"
THERMOMETERS: Final[Mapping[str, tuple[str, float]]] = {
    "thermo-1": ("Boiler", 1.0),
    "thermo-2": ("Outlet", 0.8),
    "thermo-3": ("Hall", 0.3),
}
"""Name and nearness to the boiler, by key."""
VALVE: Final = "valve-1"
PUMP: Final = "pump-1"
PUMP_PLUGIN: Final = "modbus_tcp"
_NAMES: Final = {key: name for key, (name, _) in THERMOMETERS.items()} | {
    VALVE: "Steam valve",
    PUMP: "Feed pump",
}

TOO_HOT: Final = "demo: too hot"
COOL_AGAIN: Final = "demo: cool again"
ALARM: Final = "overheat"

_TIMEOUT_S: Final = 10.0
_PAGE_LEN: Final = 100
_MARK: Final = "simulated plant"

_TRANSFORM: Final = """\
// These thermometers speak Fahrenheit. Behind here everything is in degrees Celsius, to a tenth.
let celsius = (msg.values.temperature_f - 32.0) / 1.8;
msg.values.temperature = (celsius * 10.0).round() / 10.0;
msg.values.remove("temperature_f");
"""
_TOO_HOT_SCRIPT: Final = """\
// Once no steam flows there is nothing more to do: it is on its way down.
temperature > 30.0 && flow > 0.0
"""
_COOL_AGAIN_SCRIPT: Final = """\
// Four degrees below the limit, not just below it: otherwise the valve would never rest.
temperature < 26.0 && flow == 0.0
"""
_PRODUCTS: Final[Mapping[str, dict[str, Any]]] = {
    "thermometer": {
        "name": "Thermometer",
        "transform": _TRANSFORM,
        "metadata": {
            "demo": _MARK,
            "properties": [
                {"name": "temperature", "type": "float", "unit": "°C"},
                {"name": "flow", "type": "float", "unit": "1", "range": [0, 1]},
            ],
        },
    },
    "valve": {
        "name": "Valve",
        "metadata": {
            "demo": _MARK,
            "properties": [{"name": "position", "type": "float", "unit": "%", "range": [0, 100]}],
            "services": [{"name": "open"}, {"name": "close"}],
        },
    },
    "pump": {
        "name": "Pump with Modbus TCP",
        "protocol_plugin_id": PUMP_PLUGIN,
        "decode": {
            "type": "plugin",
            "settings": {
                "unit": 1,
                "registers": [
                    {"name": "speed", "address": 0, "unit_text": "rpm"},
                    {"name": "power", "address": 1, "type": "u32", "unit_text": "W"},
                    {"name": "setpoint", "address": 3, "unit_text": "rpm"},
                ],
            },
        },
        "link": {
            "connect": "tcp://127.0.0.1:{port}",
            "framing": {"type": "length", "offset": 4, "width": 2, "frame_bytes_max": 260},
            "poll": [{"name": "all", "command": "read", "every_ms": 1000}],
        },
        "metadata": {
            "demo": _MARK,
            "properties": [
                {"name": "speed", "type": "float", "unit": "rpm"},
                {"name": "power", "type": "float", "unit": "W"},
                {"name": "setpoint", "type": "float", "unit": "rpm"},
            ],
            "services": [{"name": "write"}],
        },
    },
}


@dataclass(frozen=True, slots=True)
class Plant:
    """What was set up, as far as the plant's own processes need to know it."""

    secrets: dict[str, str] = field(repr=False)
    """By key of the device; new ones at every start."""
    topics: dict[str, dict[str, str]]
    """By key of the device: its topics for ``telemetry``, ``commands`` and ``replies``."""
    has_pump: bool
    """The platform has the plugin that speaks Modbus TCP: so the plant has a pump."""


async def provision(
    api_url: str, api_token: str, hook_url: str, pump_port: int | None = None
) -> Plant:
    """Set everything up that is not there yet, and give every device a new secret.

    Args:
        api_url: where the API is.
        api_token: a token for it.
        hook_url: where the rule's webhook has to go this time.
        pump_port: where the pump waits to be asked this time; ``None``: there is no pump.

    Raises:
        Conflict: ``demo.key_taken``: something else has a name the demo needs; nothing was changed.
    """
    async with httpx.AsyncClient(
        base_url=f"{api_url}/api/v1",
        headers={"Authorization": f"Bearer {api_token}"},
        timeout=_TIMEOUT_S,
        trust_env=False,
    ) as http:
        return await _Provisioning(_Api(http)).run(hook_url, pump_port)


class _Api:
    """The platform's API: JSON in, JSON out, its problems as exceptions."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def find(self, path: str) -> dict[str, Any] | None:
        response = await self._http.get(path)
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        return _answer(response)

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return _answer(await self._http.post(path, json=body))

    async def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return _answer(await self._http.patch(path, json=body))

    async def items(self, path: str) -> AsyncIterator[dict[str, Any]]:
        cursor = None
        while True:
            parameters = {"limit": str(_PAGE_LEN), **({"cursor": cursor} if cursor else {})}
            page = _answer(await self._http.get(path, params=parameters))
            for item in page["items"]:
                yield item
            cursor = page["next_cursor"]
            if cursor is None:
                return


def _answer(response: httpx.Response) -> dict[str, Any]:
    answer: dict[str, Any]
    if response.is_success:
        answer = response.json()
        return answer
    try:
        answer = response.json()
    except ValueError:
        answer = {}
    code = str(answer.get("code", "demo.api"))
    text = str(answer.get("detail") or answer.get("title") or f"HTTP {response.status_code}")
    path = response.request.url.path
    problem = Problem(
        code, f"the demo cannot be set up: {text}", hint=answer.get("hint"), source=path
    )
    raise error_of_kind(_KINDS.get(response.status_code, "internal")).of(problem)


_KINDS: Final = {
    401: "denied", 403: "denied", 404: "not_found", 409: "conflict", 422: "invalid",
    503: "unavailable",
}  # fmt: skip


class _Provisioning:
    """One setting up."""

    def __init__(self, api: _Api) -> None:
        self._api = api

    async def run(self, hook_url: str, pump_port: int | None) -> Plant:
        # Without the plugin the pump would never be understood: the plant is smaller then.
        has_pump = pump_port is not None and bool(await self._api.find(f"/plugins/{PUMP_PLUGIN}"))
        keys = dict.fromkeys(THERMOMETERS, "thermometer") | {VALVE: "valve"}
        if has_pump:
            keys |= {PUMP: "pump"}
        # Look at everything before anything is changed.
        products = {key: await self._own("products", key) for key in set(keys.values())}
        devices = {key: await self._own("devices", key) for key in keys}
        there = {key: known or await self._add_product(key) for key, known in products.items()}
        shown = {
            key: await self._device(key, there[product]["id"], devices[key])
            for key, product in keys.items()
        }
        if has_pump:
            tags = {"demo": _MARK, "port": str(pump_port)}
            await self._api.patch(f"/devices/{PUMP}", {"tags": tags})
        await self._rules(next(iter(shown.values()))["id"], hook_url)
        return Plant(
            secrets={key: device["secret"] for key, device in shown.items()},
            topics={key: _topics(there[product], key) for key, product in keys.items()},
            has_pump=has_pump,
        )

    async def _own(self, kind: str, key: str) -> dict[str, Any] | None:
        """The demo's own thing with this key, if it is there."""
        found = await self._api.find(f"/{kind}/{key}")
        if found is None:
            return None
        marks = found["metadata"] if kind == "products" else found["tags"]
        if marks.get("demo") != _MARK:
            raise Conflict(
                "demo.key_taken",
                f"the demo needs the key {key!r}, which one of your own {kind} has",
                hint="give the demo a directory of its own: "
                "fluxhybrid serve --demo --data-dir ./fluxhybrid-demo",
            )
        return found

    async def _add_product(self, key: str) -> dict[str, Any]:
        return await self._api.post("/products", {"key": key, **_PRODUCTS[key]})

    async def _device(
        self, key: str, product_id: str, known: dict[str, Any] | None
    ) -> dict[str, Any]:
        """A device with a new secret."""
        if known is not None:
            return await self._api.post(f"/devices/{key}/secret")
        wanted = {
            "key": key,
            "name": _NAMES[key],
            "product_id": product_id,
            "tags": {"demo": _MARK},
        }
        return await self._api.post("/devices", wanted)

    async def _rules(self, device_id: str, hook_url: str) -> None:
        """The two rules about the boiler: ours are those of these names that listen to it."""
        wanted = {rule["name"]: rule for rule in _rules(device_id, hook_url)}
        async for rule in self._api.items("/rules"):
            if rule["name"] in wanted and device_id in rule["sources"]["devices"]:
                del wanted[rule["name"]]
                await self._turn_hook(rule, hook_url)
        for missing in wanted.values():
            await self._api.post("/rules", missing)

    async def _turn_hook(self, rule: dict[str, Any], hook_url: str) -> None:
        """The receiver has another port at each start; the rest is as somebody may want it."""
        actions = [
            {**action, "url": hook_url} if _is_hook(action) else action
            for action in rule["actions"]
        ]
        if actions != rule["actions"]:
            await self._api.patch(f"/rules/{rule['id']}", {"actions": actions})


def _topics(product: Mapping[str, Any], key: str) -> dict[str, str]:
    members = {"telemetry": "topic", "commands": "command_topic", "replies": "reply_topic"}
    return {
        kind: str(product[f"{member}_template"]).replace("{device}", key)
        for kind, member in members.items()
    }


def _is_hook(action: Mapping[str, Any]) -> bool:
    if action["type"] != "webhook":
        return False
    url = urlsplit(str(action["url"]))
    return url.hostname == "127.0.0.1" and url.path == HOOK_PATH


def _rules(device_id: str, hook_url: str) -> list[dict[str, Any]]:
    sources = {"devices": [device_id]}
    return [
        {
            "name": TOO_HOT,
            "trigger_script": _TOO_HOT_SCRIPT,
            "sources": sources,
            "actions": [
                {"type": "command", "device": VALVE, "command": "close", "max_age_ms": 30_000},
                {"type": "webhook", "url": hook_url, "max_age_ms": 60_000},
                {
                    "type": "raise_alarm",
                    "alarm": ALARM,
                    "severity": "critical",
                    "text": "The boiler is above 30 °C",
                },
            ],
        },
        {
            "name": COOL_AGAIN,
            "trigger_script": _COOL_AGAIN_SCRIPT,
            "sources": sources,
            "actions": [
                {"type": "command", "device": VALVE, "command": "open", "max_age_ms": 30_000},
                {"type": "clear_alarm", "alarm": ALARM},
            ],
        },
    ]
