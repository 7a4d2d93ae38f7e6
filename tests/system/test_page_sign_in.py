"""Signing in to the live page: what is told, and where the token stays."""

from __future__ import annotations

import re

import pytest
from selenium.webdriver.common.keys import Keys

from tests.system.browser import Browser
from tests.system.live_page import Plant, unexpected
from tests.system.server_process import ServerProcess

pytestmark = [pytest.mark.system, pytest.mark.slow]


def type_token(page: Browser, token: str) -> None:
    page.until(lambda: page.run("return document.activeElement.id === 'token'"))
    page.run("document.activeElement.value = ''")
    page.press(token, Keys.ENTER)


@pytest.mark.parametrize(
    ("token", "says"),
    [
        ("flux_nothing", "The token is wrong, expired or revoked."),
        ("flux nothing; ü", "characters that no token has"),
        ("   ", "Paste a token first."),
    ],
)
def test_wrong_token_is_told_clearly_and_can_be_corrected(
    page: Browser, server: ServerProcess, token: str, says: str
) -> None:
    page.driver.get(server.url)
    type_token(page, token)
    page.reads("#sign-in-error", says)
    type_token(page, server.token)
    page.reads("#link", "Live")
    answers = [text for text in page.complaints() if "401" not in text]
    assert unexpected(answers) == []


def test_token_that_is_revoked_meanwhile_signs_out_and_says_why(
    page: Browser, server: ServerProcess, plant: Plant
) -> None:
    issued = plant.post("/tokens", name="visitor")
    page.driver.get(f"{server.url}/#token={issued['token']}")
    page.reads("#link", "Live")
    plant.api.delete(f"/tokens/{issued['id']}").raise_for_status()
    page.reads("#sign-in-error", "expired or was revoked")
    assert page.text("#devices") == ""
    answers = [text for text in page.complaints() if "401" not in text]
    assert unexpected(answers) == []


def test_token_in_the_address_leaves_no_trace_and_is_kept_with_the_tab_only(
    page: Browser, server: ServerProcess
) -> None:
    assert re.search(r"#token=flux_[\w-]{43}$", server.page_url)
    page.driver.get(server.page_url)
    page.reads("#link", "Live")
    assert page.driver.current_url == f"{server.url}/"
    kept = "return [sessionStorage, localStorage].map((s) => s.getItem('fluxhybrid.token'))"
    assert page.run(kept) == [server.token, None]
    page.driver.refresh()
    page.reads("#link", "Live")
    page.run("document.getElementById('leave').click()")
    page.reads("#sign-in", "API token")
    assert page.run(kept) == [None, None]
    page.driver.refresh()
    page.reads("#sign-in", "API token")


def test_token_is_remembered_when_that_is_asked_for(page: Browser, server: ServerProcess) -> None:
    page.driver.get(server.url)
    page.until(lambda: page.run("return document.activeElement.id === 'token'"))
    page.press(server.token, Keys.TAB, Keys.SPACE, Keys.TAB, Keys.ENTER)
    page.reads("#link", "Live")
    kept = "return [sessionStorage, localStorage].map((s) => s.getItem('fluxhybrid.token'))"
    assert page.run(kept) == [None, server.token]
