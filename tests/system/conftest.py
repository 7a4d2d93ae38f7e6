"""A server, a plant on it and a browser before it, for the tests of the live page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.system.browser import Browser, browser
from tests.system.live_page import SITE, Plant, unexpected
from tests.system.server_process import ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("server")
    with ServerProcess(directory, project_root, SITE__NAME=SITE) as running:
        yield running


@pytest.fixture
def plant(server: ServerProcess) -> Iterator[Plant]:
    with ExitStack() as stack:
        made = Plant(server, stack)
        made.quiet()
        yield made


@pytest.fixture(scope="module")
def window(
    tmp_path_factory: pytest.TempPathFactory, required_program: Callable[[str], str]
) -> Iterator[Browser]:
    chromium, chromedriver = map(required_program, ("chromium", "chromedriver"))
    with browser(chromium, chromedriver, tmp_path_factory.mktemp("profile")) as made:
        yield made


@pytest.fixture
def page(window: Browser, server: ServerProcess) -> Iterator[Browser]:
    """A browser that has never been here; afterwards, that nothing went wrong in it."""
    window.resize(1440, 900)
    window.prefer("light")
    window.speak("en")
    window.tell("Storage.clearDataForOrigin", origin=server.url, storageTypes="all")
    window.driver.get("about:blank")
    window.complaints()
    window.requests()
    yield window
    assert unexpected(window.complaints()) == []
    for url in window.requests():
        assert url.startswith((server.url, server.url.replace("http", "ws"), "about:")), url
        assert server.token not in url
    window.driver.get("about:blank")
