"""The live page as people use it: a real browser, a real server, real MQTT clients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests.system.browser import Browser
from tests.system.live_page import SITE, Plant, row, sign_in
from tests.system.server_process import Device, ServerProcess

pytestmark = [pytest.mark.system, pytest.mark.slow]

TAB_MAX = 40
TIMES = "\N{MULTIPLICATION SIGN}{}"


def test_values_of_a_device_appear_and_follow(
    page: Browser, server: ServerProcess, plant: Plant
) -> None:
    device = plant.device(name="Hall")
    device.report(temperature=21.5, mode="auto")
    sign_in(page, server)
    page.reads("#site", SITE)
    shown = row("devices", device.key)
    page.reads(shown, "Hall", device.key, "temperature", "21.5", "mode", "auto", "Online")
    device.report(temperature=22.25)
    page.reads(shown, "22.25")
    drawn = "const c = document.querySelector(arguments[0] + ' canvas');"
    drawn += "return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(Boolean)"
    page.until(lambda: page.run(drawn, shown), "a curve")
    device.close()
    page.reads(shown, "Offline")


def test_device_that_is_added_meanwhile_appears(
    page: Browser, server: ServerProcess, plant: Plant
) -> None:
    sign_in(page, server)
    device = plant.device("late")
    device.report(level=3)
    page.reads(row("devices", device.key), "level", "3")


def test_firing_appears_with_the_values_it_was_decided_on(
    page: Browser, server: ServerProcess, plant: Plant
) -> None:
    device = plant.device()
    rule = plant.rule(
        device, "temperature > 30", {"type": "publish", "topic": "hot", "payload": "hot"}
    )
    sign_in(page, server)
    page.reads(row("rules", rule["id"]), rule["name"], "on", "not fired lately")
    device.report(temperature=31.75, pressure=2)
    page.reads("#firings", rule["name"], device.key, "temperature 31.75", "publish hot")
    page.reads(
        row("rules", rule["id"]), TIMES.format(1), f"by {device.key}", "1 firings in the last 30"
    )
    # By keyboard: into the list, open it, from there to the device, and back to where we were.
    page.run("document.querySelector('#firings .open').focus()")
    page.press(Keys.ENTER)
    text = page.reads("dialog", rule["name"], "Decided on", "31.75", "Called for", "publish hot")
    assert f"v1/devices/{device.key}/telemetry" in text
    page.run("[...document.querySelectorAll('dialog .link')].pop().focus()")
    assert page.focused() == device.key
    page.press(Keys.ENTER)
    page.reads("dialog", "pressure", "from 2 to 2")
    page.press(Keys.ESCAPE)
    page.until(lambda: not page.run("return document.querySelector('dialog').open"))
    assert device.key in page.run("return document.activeElement.closest('li').innerText")


def test_alarm_is_acknowledged_and_cleared_by_keyboard_alone(
    page: Browser, server: ServerProcess, plant: Plant
) -> None:
    device = plant.device()
    alarm = {"type": "raise_alarm", "alarm": "overheat", "severity": "critical", "text": "Too hot"}
    plant.rule(device, "temperature > 30", alarm)
    sign_in(page, server)
    page.reads("#alarms", "No open alarms")
    device.report(temperature=40)
    page.reads("#alarms", "overheat", device.key, "Critical", "Too hot", "raised")
    page.until(lambda: page.driver.title.startswith("(1) "))
    page.reads("#announcer", "overheat")
    wanted = f"Acknowledge overheat of {device.key}"
    for _ in range(TAB_MAX):
        if page.focused() == wanted:
            break
        page.press(Keys.TAB)
    assert page.focused() == wanted
    page.press(Keys.ENTER)
    page.reads("#alarms", "acknowledged by first start")
    (kept,) = plant.api.get("/alarms", params={"device": device.key}).json()["items"]
    assert (kept["state"], kept["acknowledged_by"]) == ("acknowledged", "first start")
    page.until(lambda: not page.driver.title.startswith("("))
    # The keyboard is still there, on what can be done next.
    page.until(lambda: page.focused() == f"Clear overheat of {device.key}")
    page.press(Keys.ENTER)
    page.reads("#alarms", "No open alarms")
    page.run("[...document.querySelectorAll('#alarms .tab')].pop().click()")
    page.reads("#alarms", "cleared by first start")


def test_command_shows_what_became_of_it(
    page: Browser, server: ServerProcess, plant: Plant
) -> None:
    device = plant.device()
    sign_in(page, server)
    sent = plant.post(
        f"/devices/{device.key}/commands", command="dance", params={"steps": 3}, max_age_ms=500
    )
    shown = row("commands", sent["id"])
    page.reads(shown, "dance", device.key)
    page.reads(shown, "expired")  # the device takes no commands
    page.run("document.querySelector(arguments[0] + ' .open').click()", shown)
    page.reads("dialog", "expired", '"steps": 3')


def test_refused_sign_in_shows_its_cause_and_how_to_mend_it(
    page: Browser, server: ServerProcess, plant: Plant
) -> None:
    sign_in(page, server)
    stranger = plant.key("stranger")
    for _ in range(2):
        refused = Device(server, stranger, "x", client_id="sensor-17")
        assert refused.refused is not None
        assert "known" not in refused.refused, "the client is not told what the page is"
    text = page.reads(
        "#refusals", stranger, "The user name is not known.", "Connect", TIMES.format(2)
    )
    assert text.count(stranger) == 1
    page.run("document.querySelector('#refusals .open').click()")
    page.reads("dialog", "Add the device first", "sensor-17", "127.0.0.1:", "auth.unknown_name")


def test_message_that_is_not_understood_shows_why(
    page: Browser, server: ServerProcess, plant: Plant
) -> None:
    device = plant.device()
    sign_in(page, server)
    device.publish(f"v1/devices/{device.key}/telemetry", '{"temperature": ')
    page.reads("#refusals", device.key, "Message", "The payload could not be decoded.")
    device.publish("v1/devices/somebody-else/telemetry", "{}")
    page.reads("#refusals", "Publish", "It may not publish to this topic.", "somebody-else")


def test_long_list_holds_the_rows_in_view_only_and_goes_by_keyboard(
    page: Browser, server: ServerProcess, plant: Plant
) -> None:
    word = plant.key("many")
    keys = [f"{word}-{number:03}" for number in range(300)]
    for key in keys:
        plant.post("/devices", key=key, product_id=plant.product)
    try:
        sign_in(page, server)
        page.run(
            "const field = document.querySelector('.search'); field.value = arguments[0];"
            "field.dispatchEvent(new Event('input'))",
            word,
        )
        page.reads("#devices", "300 /", keys[0])
        rows = "return document.querySelectorAll('#devices .row').length"
        assert page.run(rows) < 60
        page.run("document.querySelector('#devices .open').focus()")
        page.press(Keys.END)
        page.until(lambda: keys[-1] in page.focused())
        at = (
            "const row = document.activeElement.closest('li');"
            "return [row.ariaPosInSet, row.ariaSetSize]"
        )
        assert page.run(at) == ["300", "300"]
        page.press(Keys.ARROW_UP)
        page.until(lambda: keys[-2] in page.focused())
        page.press(Keys.PAGE_UP, Keys.PAGE_UP)
        assert page.run(rows) < 60
        page.press(Keys.HOME)
        page.until(lambda: keys[0] in page.focused())
        tabbable = (
            "return [...document.querySelectorAll('#devices .row button')]"
            ".filter((button) => button.tabIndex === 0).length"
        )
        assert page.run(tabbable) == 1
    finally:
        for key in keys:
            plant.api.delete(f"/devices/{key}")


def test_stream_comes_back_with_the_server(
    page: Browser,
    tmp_path: Path,
    project_root: Path,
    free_port: Callable[[], int],
) -> None:
    ports = {"SERVER__PORT": str(free_port()), "MQTT__PORT": str(free_port())}
    with ServerProcess(tmp_path, project_root, **ports) as first:
        token = first.token
        page.driver.get(first.page_url)
        page.reads("#link", "Live")
    page.reads("#link", "Reconnecting in")
    with ServerProcess(tmp_path, project_root, **ports) as second:
        assert second.token == "", "a token is shown at the first start only"
        assert "#" not in second.page_url
        page.reads("#link", "Live")
        with second.api(token) as api:
            product = api.post("/products", json={"key": "p"}).json()["id"]
            made = api.post("/devices", json={"key": "back", "product_id": product}).json()
        device = Device(second, "back", made["secret"])
        device.report(v=7)
        page.reads(row("devices", "back"), "7")
        device.close()
        page.driver.get("about:blank")
    page.complaints()  # what a server that is away brings
    page.requests()


def test_hidden_page_listens_to_alarms_only_and_catches_up(
    page: Browser, server: ServerProcess, plant: Plant
) -> None:
    device = plant.device()
    device.report(v=1)
    sign_in(page, server)
    page.reads(row("devices", device.key), "1")
    hide = (
        "Object.defineProperty(document, 'hidden', "
        "{ get: () => arguments[0], configurable: true });"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.requests()
    page.run(hide.replace("arguments[0]", "true"))
    page.reads("#link", "Paused")
    (stream,) = (url for url in page.requests() if "/stream" in url)
    assert stream.endswith("/api/v1/stream?kind=alarm")
    device.report(v=2)
    page.run(hide.replace("arguments[0]", "false"))
    page.reads("#link", "Live")
    page.reads(row("devices", device.key), "2")
