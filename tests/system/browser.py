"""A real browser: Debian's Chromium, told what to do by its driver.

Keeps what the browser logged and asked for, so that a test can say that it was nothing wrong.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from selenium.common.exceptions import JavascriptException, StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains

WAIT_S = 20.0
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)

T = TypeVar("T")


class Browser:
    """One window.

    Args:
        driver: what it is told by.
    """

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def tell(self, command: str, **parameters: Any) -> Any:
        """A command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(command, parameters)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script; gives what it returns."""
        return self.driver.execute_script(script, *arguments)

    def run_async(self, script: str, *arguments: Any) -> Any:
        """Run the body of an async function; gives what it returns.

        Raises:
            AssertionError: what it threw.
        """
        wrapped = (
            "const [given, done] = [[...arguments].slice(0, -1), arguments[arguments.length - 1]];"
            f"(async (...args) => {{ {script} }})(...given)"
            ".then((value) => done({value}), (error) => done({error: String(error.stack)}));"
        )
        answer = self.driver.execute_async_script(wrapped, *arguments)
        assert "error" not in answer, answer["error"]
        return answer.get("value")

    def until(self, look: Callable[[], T], what: str = "") -> T:
        """What the look finds, once it finds something."""
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                if found := look():
                    return found
            except (JavascriptException, StaleElementReferenceException):
                pass
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {WAIT_S} s: {what}\n{self.text('body')}")
            time.sleep(0.03)

    def text(self, selector: str) -> str:
        """What people read there; empty where there is nothing."""
        found = self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)
        return str(found)

    def reads(self, selector: str, *words: str) -> str:
        """Wait until all words can be read there; gives the whole text."""

        def look() -> str:
            text = self.text(selector)
            return text if all(word in text for word in words) else ""

        return self.until(look, f"{words} in {selector}, which says {self.text(selector)!r}")

    def press(self, *keys: str) -> None:
        """Press keys, wherever the keyboard is."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self) -> str:
        """The name of what the keyboard is on."""
        script = "const e = document.activeElement; return e.ariaLabel || e.innerText || e.id"
        return str(self.run(script))

    def resize(self, width: int, height: int) -> None:
        """Have a screen of that size."""
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def prefer(self, scheme: str) -> None:
        """Be on a system that is dark, or light."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.tell("Emulation.setEmulatedMedia", features=features)

    def speak(self, language: str) -> None:
        """Be the browser of somebody who reads that language."""
        agent = self.run("return navigator.userAgent")
        self.tell("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=language)

    def complaints(self) -> list[str]:
        """What the browser logged as wrong since the last call."""
        logged = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in logged if entry["level"] in ("SEVERE", "WARNING")]

    def requests(self) -> list[str]:
        """URLs the browser asked for since the last call, WebSockets among them."""
        urls = []
        for entry in self.driver.get_log("performance"):  # type: ignore[no-untyped-call]
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                urls.append(str(message["params"]["request"]["url"]))
            elif message["method"] == "Network.webSocketCreated":
                urls.append(str(message["params"]["url"]))
        return urls

    def screenshot(self, path: Path) -> None:
        """Take a picture of what is in view."""
        self.driver.save_screenshot(str(path))


@contextmanager
def browser(
    chromium: str, chromedriver: str, profile: Path, *, recorded: bool = True
) -> Iterator[Browser]:
    """A browser with a profile of its own, ended with all its processes.

    Args:
        chromium: path of the browser.
        chromedriver: path of its driver.
        profile: an empty directory.
        recorded: whether to keep what it logs and asks for, which costs it time.
    """
    options = ChromeOptions()
    options.binary_location = chromium
    for flag in (*_FLAGS, f"--user-data-dir={profile}", "--window-size=1440,900"):
        options.add_argument(flag)
    if recorded:
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(chromedriver))
    driver.set_script_timeout(60)
    driver.set_page_load_timeout(30)
    try:
        made = Browser(driver)
        made.resize(1440, 900)
        yield made
    finally:
        driver.quit()
