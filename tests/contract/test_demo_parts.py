"""The demo's parts: what it sets up, what it prints, how its boiler behaves."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fluxhybrid import demo
from fluxhybrid.app import Platform
from fluxhybrid.demo.narrator import DEVICES_SHOWN_MAX, LINES_PER_S_MAX, Narrator
from fluxhybrid.demo.output import QUEUE_LEN_MAX, Output, plain
from fluxhybrid.demo.plant.boiler import Boiler, fahrenheit
from fluxhybrid.demo.provision import Plant, provision
from fluxhybrid.demo.terminal import Terminal
from fluxhybrid.demo.wording import actions_text, short_id, values_text
from fluxhybrid.errors import Conflict, Unavailable
from tests.contract.api_fixture import Running, config_in, running
from tests.contract.engine_double import EngineDouble, TesterDouble

HOOK = "http://127.0.0.1:4711/hooks/plant"


async def set_up(site: Running, hook: str = HOOK) -> Plant:
    return await provision(site.url, site.token, hook)


async def items(site: Running, path: str) -> list[dict[str, Any]]:
    answer = await site.http.get(f"/api/v1/{path}")
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def hooks(rules: list[dict[str, Any]]) -> list[str]:
    return [a["url"] for rule in rules for a in rule["actions"] if a["type"] == "webhook"]


# ---- what it sets up


async def test_setting_up_again_adds_nothing_and_gives_new_secrets(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        first = await set_up(site)
        rules = await items(site, "rules")
        second = await set_up(site, HOOK.replace("4711", "4712"))
        assert set(first.secrets) == {"thermo-1", "thermo-2", "thermo-3", "valve-1"}
        assert set(first.secrets.values()).isdisjoint(second.secrets.values())
        assert len(await items(site, "products")) == 2
        assert len(await items(site, "devices")) == 4
        after = await items(site, "rules")
        assert {rule["id"] for rule in after} == {rule["id"] for rule in rules}
        assert (hooks(rules), hooks(after)) == ([HOOK], [HOOK.replace("4711", "4712")])
    assert "fluxdev" not in repr(first)


async def test_changes_to_its_rules_and_topics_stay(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        await set_up(site)
        rule = next(r for r in await items(site, "rules") if r["name"] == "demo: too hot")
        actions = [*rule["actions"], {"type": "webhook", "url": "http://127.0.0.1:9/own"}]
        script = "temperature > 31.0"
        answer = await site.http.patch(
            f"/api/v1/rules/{rule['id']}", json={"trigger_script": script, "actions": actions}
        )
        assert answer.is_success
        topic = "hall/{device}"
        await site.http.patch("/api/v1/products/thermometer", json={"topic_template": topic})
        plant = await set_up(site, HOOK.replace("4711", "4712"))
        kept = (await site.http.get(f"/api/v1/rules/{rule['id']}")).json()
        assert kept["trigger_script"] == script
        assert hooks([kept]) == [HOOK.replace("4711", "4712"), "http://127.0.0.1:9/own"]
        assert plant.topics["thermo-2"]["telemetry"] == "hall/thermo-2"


@pytest.mark.parametrize("taken", ["product", "device"])
async def test_somebodys_own_things_are_left_alone(tmp_path: Path, taken: str) -> None:
    async with running(tmp_path) as site:
        key = "valve" if taken == "product" else "mine"
        own = (await site.http.post("/api/v1/products", json={"key": key})).json()
        if taken == "device":
            body = {"key": "thermo-2", "product_id": own["id"]}
            assert (await site.http.post("/api/v1/devices", json=body)).is_success
        before = site.engine.document
        with pytest.raises(Conflict) as caught:
            await set_up(site)
        assert caught.value.code == "demo.key_taken"
        assert "--data-dir" in (caught.value.hint or "")
        assert site.engine.document == before


async def test_own_rule_of_the_same_name_is_no_demo_rule(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        body = {"name": "demo: too hot", "trigger_script": "false"}
        own = (await site.http.post("/api/v1/rules", json=body)).json()
        await set_up(site)
        names = [rule["name"] for rule in await items(site, "rules")]
        assert names.count("demo: too hot") == 2
        assert (await site.http.get(f"/api/v1/rules/{own['id']}")).json() == own


async def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "paho", None)
    engine = EngineDouble()
    platform = Platform(config_in(tmp_path), engine, TesterDouble(), demo=True)
    with pytest.raises(Unavailable) as caught:
        await platform.start()
    assert caught.value.code == "demo.extra_missing"
    assert caught.value.hint == "pip install 'fluxhybrid[demo]'"
    assert not engine.running
    monkeypatch.undo()
    demo.check()


# ---- what it prints


class Lines(Terminal):
    """A terminal that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @property
    def has_block(self) -> bool:
        return False

    def paint(self, text: str, colour: str) -> str:
        return text

    def line(self, text: str) -> None:
        self.lines.append(text)

    def block(self, lines: Any) -> None:
        self.last_block = lines


def test_text_from_outside_does_not_steer_the_terminal() -> None:
    lines = Lines()
    narrator = Narrator(lines, "title")
    evil = "\x1b]0;owned\x07\r\n\u202e"
    for kind in ("telemetry", "firing", "alarm", "command", "device_status", "refused"):
        event = dict.fromkeys(("device_id", "rule_name", "alarm", "state", "severity"), evil)
        event |= dict.fromkeys(("text", "command", "status", "result", "id", "source"), evil)
        event |= dict.fromkeys(("topic", "reason"), evil)
        nested = {"values": {evil: evil}, "actions": [{"type": evil}, evil]}
        narrator.hear({"kind": kind, **event, **nested})
    narrator.hear({"kind": "telemetry", "values": [1], "actions": 3})
    narrator.hear({"kind": evil})
    narrator.refresh()
    assert len(lines.lines) == 6
    assert all(line.isprintable() for line in lines.lines)


def test_flood_of_happenings_is_counted_not_printed() -> None:
    lines, now = Lines(), [100.0]
    narrator = Narrator(lines, "title", clock=lambda: now[0])
    alarm = {"kind": "alarm", "alarm": "a", "device_id": "d", "state": "active"}
    for _ in range(LINES_PER_S_MAX + 7):
        narrator.hear(alarm)
    assert len(lines.lines) == LINES_PER_S_MAX
    now[0] += 1.0
    narrator.refresh()
    assert lines.lines[-1].endswith("7 happenings too many to tell")
    narrator.hear(alarm)
    assert "raised" in lines.lines[-1]


def test_values_of_more_devices_than_fit_are_left_out() -> None:
    lines = Lines()
    narrator = Narrator(lines, "title")
    for number in range(100):
        key = f"device-{number:03}"
        narrator.hear({"kind": "telemetry", "device_id": key, "values": {"x": number}})
    narrator.refresh()
    assert lines.lines[0].count("device-") == DEVICES_SHOWN_MAX
    narrator.refresh()
    assert len(lines.lines) == 1, "nothing is new"


def test_wording_is_short() -> None:
    assert values_text({"temperature": 30.04, "flow": 1, "on": True}) == (
        "temperature 30.0 °C, flow 1, on True"
    )
    assert values_text({str(n): n for n in range(8)}).endswith(", 2 more")
    assert actions_text([]) == "nothing"
    assert short_id("01a1fc3b-a770-7381-9087-cae5dcd0dd79.1.1-37.0") == "01a1fc3b.1.1-37.0"
    assert plain("x" * 200) == "x" * 119 + "…"


@pytest.fixture
def pty() -> Iterator[tuple[int, int]]:
    ours, theirs = os.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def written(ours: int) -> str:
    """What is there by now; the terminal turns each line end into two characters."""
    os.set_blocking(ours, False)
    return os.read(ours, 4_096).decode().replace("\r\n", "\n")


@pytest.mark.parametrize("colours", [True, False])
def test_terminal_keeps_values_below_the_lines_and_is_given_back(
    pty: tuple[int, int], monkeypatch: pytest.MonkeyPatch, colours: bool
) -> None:
    ours, theirs = pty
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "" if colours else "1")
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    terminal = Terminal(theirs, 3)
    terminal.block([("title " + "x" * 100, "dim"), ("value", "bold")])
    terminal.line("happening")
    assert terminal.has_block
    terminal.close()
    out = written(ours)
    assert "happening\n" in out
    assert "\x1b[1;21r" in out, "lines scroll above the last three"
    assert "\x1b[22;1H" in out
    assert "x" * 74 not in out, "what stays is never longer than a line"
    assert bool(re.search(r"\x1b\[\d*m", out)) is colours
    assert out.endswith("\x1b[r\x1b8\x1b[J")


def test_small_terminal_has_lines_only(
    pty: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = pty
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal(theirs, 3)
    terminal.block([("title", "dim")])
    terminal.line("happening")
    terminal.close()
    assert not terminal.has_block
    assert written(ours) == "happening\n"


def test_reader_who_stopped_holds_nobody_up() -> None:
    read, write = os.pipe()
    output = Output(write)
    told = QUEUE_LEN_MAX + 1_000
    for _ in range(told):
        output.line("x" * 1_000)
    seen: list[str] = []
    with os.fdopen(read) as reader:
        # So many fit. Once they are read, there is room again.
        while sum(line.startswith("x") for line in seen) < QUEUE_LEN_MAX:
            seen.append(reader.readline())
        output.line("last")
        # Closing waits for the reader only so long: read first, or the pipe is full again.
        while seen[-1] != "last\n":
            seen.append(reader.readline())
        output.close()
        os.close(write)
        assert reader.readlines() == []
    notices = [re.fullmatch(r"\((\d+) lines were not shown\)\n", line) for line in seen]
    dropped = [int(notice[1]) for notice in notices if notice]
    assert dropped
    assert len(seen) - 1 - len(dropped) + sum(dropped) == told


# ---- how the plant behaves


def test_boiler_crosses_the_limit_within_seconds_and_the_valve_holds_it() -> None:
    boiler, flow, crossed_s = Boiler(), 1.0, None
    highest = lowest = boiler.temperature_c(1.0)
    for step in range(1, 601):
        boiler.step(0.1, flow)
        temperature = boiler.temperature_c(1.0)
        if temperature > 30.0 and flow > 0.0:
            crossed_s = crossed_s or step * 0.1
            flow = 0.0
        elif temperature < 26.0 and flow == 0.0:
            flow, lowest = 1.0, min(lowest, temperature)
        highest = max(highest, temperature)
    assert crossed_s == pytest.approx(4.2, abs=0.15)
    assert 30.0 < highest < 30.2
    assert 25.8 < lowest < 26.0


def test_fahrenheit_is_right() -> None:
    assert (fahrenheit(0.0), fahrenheit(100.0), fahrenheit(-40.0)) == (32.0, 212.0, -40.0)
