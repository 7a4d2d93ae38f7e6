"""The live page's surroundings: what a test sets up on the server, and ways about the page."""

from __future__ import annotations

import re
import uuid
from contextlib import ExitStack
from typing import Any

from fluxhybrid.api.application import routes
from tests.system.browser import Browser
from tests.system.server_process import Device, ServerProcess

SITE = "Boiler house"


class Plant:
    """The server of all tests here, with what a test sets up on it."""

    def __init__(self, server: ServerProcess, stack: ExitStack) -> None:
        self.server = server
        self.api = stack.enter_context(server.api())
        self._stack = stack
        self.product = self.post("/products", key=f"sensor-{uuid.uuid4().hex[:8]}")["id"]

    def post(self, path: str, **body: Any) -> Any:
        answer = self.api.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def key(self, word: str) -> str:
        return f"{word}-{uuid.uuid4().hex[:8]}"

    def device(self, word: str = "thermo", **members: Any) -> Device:
        """A device that is connected."""
        key = self.key(word)
        made = self.post("/devices", key=key, product_id=self.product, **members)
        device = Device(self.server, key, made["secret"])
        self._stack.callback(device.close)
        assert device.refused is None
        return device

    def rule(self, device: Device, script: str, *actions: dict[str, Any]) -> Any:
        """A rule over one device, removed after the test."""
        found = self.api.get(f"/devices/{device.key}").json()["id"]
        made = self.post(
            "/rules",
            name=self.key("rule"),
            trigger_script=script,
            sources={"devices": [found]},
            actions=list(actions),
        )
        self._stack.callback(self.api.delete, f"/rules/{made['id']}")
        return made

    def quiet(self) -> None:
        """Clear every alarm, so that a test sees its own only."""
        for state in ("active", "acknowledged"):
            for alarm in self.api.get("/alarms", params={"state": state}).json()["items"]:
                self.post(f"/alarms/{alarm['id']}/clear")


def sign_in(page: Browser, server: ServerProcess, path: str = "/") -> None:
    page.driver.get(f"{server.url}{path}#token={server.token}")
    page.reads("#link", "Live")


def row(word: str, key: str) -> str:
    return f'#{word} [data-key="{key}"]'


def unexpected(complaints: list[str]) -> list[str]:
    """Complaints, but for answers of 404 where this build has no such resource yet."""
    there = {getattr(route, "path", "") for route in routes("test").routes}
    missing = [
        pattern
        for path, pattern in (
            ("/api/v1/plugins", r"/api/v1/plugins - .* 404 "),
            ("/api/v1/devices/{device}/telemetry", r"/telemetry\?\S+ - .* 404 "),
        )
        if path not in there
    ]
    return [text for text in complaints if not any(re.search(one, text) for one in missing)]
