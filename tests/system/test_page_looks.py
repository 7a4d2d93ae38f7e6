"""How the live page looks: colours, languages, screens, and that everybody can read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.browser import Browser
from tests.system.live_page import Plant, row, sign_in
from tests.system.server_process import Device, ServerProcess

pytestmark = [pytest.mark.system, pytest.mark.slow]


AUDITS = Path(__file__).parent / "audits"
BACKGROUND = "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"


def is_dark(page: Browser) -> bool:
    return bool(sum(page.run(BACKGROUND)) < 3 * 60)


def test_page_is_dark_where_the_system_is_and_as_was_chosen(
    page: Browser, server: ServerProcess
) -> None:
    sign_in(page, server)
    assert not is_dark(page)
    page.prefer("dark")
    page.until(lambda: is_dark(page))
    page.run("document.getElementById('theme').click()")
    page.until(lambda: not is_dark(page), "light was chosen")
    page.driver.refresh()
    page.reads("#link", "Live")
    assert not is_dark(page)
    page.prefer("light")
    page.run("document.getElementById('theme').click()")
    assert is_dark(page)


def test_page_speaks_the_readers_language_and_switches(
    page: Browser, server: ServerProcess, plant: Plant
) -> None:
    device = plant.device()
    device.report(x=1)
    page.speak("zh-CN,zh")
    page.driver.get(f"{server.url}/#token={server.token}")
    page.reads("#link", "实时")
    page.reads("#alarms", "告警", "没有未结束的告警")
    page.reads(row("devices", device.key), "在线")
    assert page.run("return document.documentElement.lang") == "zh"
    page.run("document.getElementById('language').click()")
    page.reads("#alarms", "Alarms", "No open alarms")
    page.driver.refresh()
    page.reads("#link", "Live")


@pytest.mark.parametrize(("width", "height"), [(360, 640), (768, 1024), (2560, 1440)])
def test_nothing_is_wider_than_the_screen(
    page: Browser, server: ServerProcess, plant: Plant, width: int, height: int
) -> None:
    device = plant.device(name="W" * 200, tags={"place": "x" * 60})
    plant.rule(
        device,
        "true",
        {"type": "raise_alarm", "alarm": "a" * 128, "severity": "minor", "text": "t" * 300},
    )
    device.report(**{"v" * 60: "text " * 60, "n": -1234567.891})
    page.resize(width, height)
    overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    page.driver.get(server.url)
    page.reads("#sign-in", "API token")
    assert page.run(overflow) <= 0
    sign_in(page, server)
    page.reads(row("devices", device.key), "WWW")
    page.reads("#alarms", "aaa")
    assert page.run(overflow) <= 0
    page.run("document.querySelector(arguments[0] + ' .open').click()", row("devices", device.key))
    page.reads("dialog", "text text")
    inside = "const d = document.querySelector('dialog'); return d.scrollWidth - d.clientWidth"
    assert page.run(inside) <= 0
    assert page.run("return document.querySelector('dialog').getBoundingClientRect().left") >= 0


def test_text_of_devices_never_becomes_markup(
    page: Browser, server: ServerProcess, plant: Plant
) -> None:
    evil = "<img src=x onerror='document.title=1'><script>alert(1)</script>"
    device = plant.device(name=evil, tags={"<b>": "<i>tag</i>"})
    plant.rule(device, "true", {"type": "raise_alarm", "alarm": "<u>alarm<", "text": evil})
    sign_in(page, server)
    device.report(**{"<s>name</s>": evil})
    page.reads(row("devices", device.key), "<img src=x", "<s>name</s>")
    page.reads("#alarms", "<u>alarm<", "<script>alert(1)</script>")
    page.reads("#firings", "<img src=x")
    page.run("document.querySelector(arguments[0] + ' .open').click()", row("devices", device.key))
    page.reads("dialog", "<i>tag</i>", "<img src=x")
    made = "return document.querySelectorAll(':is(main, dialog) :is(img, b, i, u, s)').length"
    assert page.run(made) == 0


CONTRAST = (AUDITS / "contrast.js").read_text()

NAMELESS = (AUDITS / "names.js").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_and_has_a_name(
    page: Browser, server: ServerProcess, plant: Plant, scheme: str
) -> None:
    page.prefer(scheme)
    page.driver.get(server.url)
    page.reads("#sign-in", "API token")
    assert page.run(CONTRAST) == []
    assert page.run(NAMELESS) == []
    device = plant.device()
    for severity in ("critical", "major", "minor", "warning", "info"):
        device = plant.device()
        plant.rule(device, "t > 0", {"type": "raise_alarm", "alarm": "a", "severity": severity})
        device.report(t=1)
    plant.post("/rules", name=plant.key("off"), trigger_script="false", enabled=False)
    Device(server, plant.key("nobody"), "x")
    plant.post(f"/devices/{device.key}/commands", command="stop", max_age_ms=1)
    sign_in(page, server)
    page.reads("#alarms", "Critical", "Info")
    page.reads("#refusals", "nobody")
    page.reads("#commands", "expired")
    assert page.run(CONTRAST) == []
    assert page.run(NAMELESS) == []
    landmarks = (
        "return ['header', 'main', 'nav', 'h1'].map((n) => document.querySelectorAll(n).length)"
    )
    assert page.run(landmarks) == [1, 1, 1, 1]
    page.run("document.querySelector('#devices .open').click()")
    page.reads("dialog", "Values")
    assert page.run(CONTRAST) == []
    assert page.run(NAMELESS) == []
