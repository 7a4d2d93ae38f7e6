"""The live page's modules by themselves, run where they live: in the browser."""

from __future__ import annotations

import re

import pytest

from tests.system.browser import Browser
from tests.system.server_process import ServerProcess

pytestmark = [pytest.mark.system, pytest.mark.slow]


def module(name: str) -> str:
    """The start of a script: everything a module exports, by name."""
    base = "document.querySelector('script[type=module]').src.replace(/main.js$/, '')"
    return f"const {{ {EXPORTS[name]} }} = await import({base} + '{name}');"


def test_every_text_is_there_in_both_languages(page: Browser, server: ServerProcess) -> None:
    page.driver.get(server.url)
    texts = page.run_async(f"{module('strings.js')} return texts()")
    assert len(texts) > 100
    for name, both in texts.items():
        english, chinese = both
        assert english.strip(), name
        assert chinese.strip(), name
        places = [sorted(re.findall(r"\{\w+\}", text)) for text in both]
        assert places[0] == places[1], name


EXPORTS = {
    "strings.js": "texts",
    "series.js": "Series",
    "store.js": "Store",
    "limits.js": "SERIES_POINTS, SERIES_STEP_MS, FIRINGS_MAX, COMMANDS_MAX, REFUSALS_MAX, "
    "ALARMS_MAX, VALUES_PER_DEVICE_MAX, SERIES_PER_DEVICE_MAX, RULE_BARS",
    "panels/plugins.js": "Plugins",
    "sheets/records.js": "pluginSheet",
    "format.js": "number, brief, bytes, value, duration",
}


def test_curve_is_bounded_and_keeps_to_its_time(page: Browser, server: ServerProcess) -> None:
    page.driver.get(server.url)
    script = f"""{module("series.js")} {module("limits.js")}
      const series = new Series();
      const start = 1.7e12;
      for (let n = 0; n < 10 * SERIES_POINTS; n += 1) series.push(start + n * SERIES_STEP_MS, n);
      const length = series.points().length;
      const [[first]] = series.points();
      series.push(start, 99);                                        // too old
      series.push(start + 10 * SERIES_POINTS * SERIES_STEP_MS + 1, 1);
      series.push(start + 10 * SERIES_POINTS * SERIES_STEP_MS + 2, 3);  // the same step
      const mean = series.points().at(-1)[1];
      series.push(start + 1e9, 5);                                   // a long silence
      const after = series.points();
      series.fill([[start + 1e9 - 5000, 4], [start + 1e9, 77], [start, 1], [start + 1e9, 'x']]);
      return [length, first - start, mean, after.length, series.points()];
    """
    length, first, mean, after, filled = page.run_async(script)
    points = page.run_async(f"{module('limits.js')} return [SERIES_POINTS, SERIES_STEP_MS]")
    assert length == points[0]
    assert first == 9 * points[0] * points[1]
    assert (mean, after) == (2, 1)
    assert [value for _, value in filled] == [4, 5], "what is known already is not overwritten"


def test_page_does_not_grow_with_what_it_is_told(page: Browser, server: ServerProcess) -> None:
    page.driver.get(server.url)
    script = f"""{module("store.js")} {module("limits.js")}
      const store = new Store();
      const device = {{ id: 'i', key: 'd', name: 'd', product_id: 'p', enabled: true, tags: {{}},
        status: 'online', last_online: 1 }};
      store.putDevices([device], true);
      store.putRules([{{ id: 'r', name: 'r', enabled: true }}]);
      const now = Date.now();
      for (let n = 0; n < 20000; n += 1) store.apply([
        {{ kind: 'telemetry', device_id: 'd', ts: now + n, values: {{ ['v' + n]: n, v: n }} }},
        {{ kind: 'telemetry', device_id: 'stranger' + n, ts: now, values: {{ v: 1 }} }},
        {{ kind: 'firing', id: 'f' + n, rule_id: 'r', at: now + n * 1000, values: {{}} }},
        {{ kind: 'alarm', id: 'a' + n, state: n % 2 ? 'active' : 'cleared', last_raised: n }},
        {{ kind: 'command', id: 'c' + n, requested: n }},
        {{ kind: 'refused', id: 'x' + n, at: n }},
      ], 0);
      const [d] = store.devices.values();
      const [rule] = store.rules.values();
      return [
        [store.devices.size, 1],
        [d.values.size, VALUES_PER_DEVICE_MAX],
        [d.series.size, SERIES_PER_DEVICE_MAX],
        [store.firings.length, FIRINGS_MAX],
        [store.alarms.size, ALARMS_MAX],
        [store.commands.size, COMMANDS_MAX],
        [store.refusals.size, REFUSALS_MAX],
        [rule.fired.minutes.size, RULE_BARS],
        [[...store.alarms.values()].filter((a) => a.state === 'active').length, ALARMS_MAX],
      ];
    """
    for size, bound in page.run_async(script):
        assert 0 < size <= bound


def test_plugin_shows_what_is_wrong_with_it_first(page: Browser, server: ServerProcess) -> None:
    page.driver.get(server.url)
    well = {
        "id": "modbus",
        "title": "Modbus RTU",
        "version": "1.2.0",
        "health": "running",
        "problems": [],
        "functions": ["decode"],
        "vectors": [12, 12],
        "pool": {"available": 2, "max_size": 4, "hits": 9, "misses": 1},
        "calls": {"calls": 2_000, "failures": [0, 3, 0], "duration_ns": 4_000_000},
        "trips": 0,
    }
    problem = {"code": "plugin.import", "message": "it imports env.steal", "hint": "leave it out"}
    ill = {**well, "id": "evil", "title": None, "health": "refused", "problems": [problem]}
    script = f"""{module("store.js")} {module("panels/plugins.js")} {module("sheets/records.js")}
      const section = document.getElementById('plugins');
      document.getElementById('live').hidden = false;
      const store = new Store();
      const panel = new Plugins(section, store, () => {{}});
      panel.paint(new Set(['all']));
      const hidden = section.hidden;
      store.putPlugins(args[0]);
      panel.paint(new Set(['plugins']));
      await new Promise(requestAnimationFrame);
      await new Promise(requestAnimationFrame);
      const rows = [...section.querySelectorAll('.row')]
        .sort((a, b) => a.ariaPosInSet - b.ariaPosInSet).map((row) => row.innerText);
      return [hidden, rows, pluginSheet(args[0][1]).element.textContent];
    """
    hidden, rows, sheet = page.run_async(script, [well, ill])
    assert hidden, "a server without plugins has no such panel"
    assert [row.split("\n")[0] for row in rows] == ["evil", "Modbus RTU"]
    assert "it imports env.steal" in rows[0]
    for words in ("1.2.0", "2k calls", "3 failed", "pool 2/4", "running"):
        assert words in rows[1]
    for words in ("12 of 12 hold", "leave it out", "2 \N{MICRO SIGN}s"):
        assert words in sheet


def test_numbers_are_written_for_people(page: Browser, server: ServerProcess) -> None:
    page.driver.get(server.url)
    script = f"""{module("format.js")} return [
      number(29.9), number(30), number(0.1 + 0.2), number(-1234567.891), number(1e-7), number(0),
      brief(0), brief(0.44), brief(999), brief(1200), brief(34567), brief(2.5e6),
      bytes(0), bytes(1023), bytes(1536), bytes(5 * 2 ** 30), bytes(null),
      value(true), value('x'.repeat(500)).length, value(null), duration(59_999), duration(7.2e6),
    ]"""
    assert page.run_async(script) == [
        *("29.9", "30", "0.3", "-1234570", "1.000e-7", "0"),
        *("0", "0.4", "999", "1.2k", "34.6k", "2.5M"),
        *("0 B", "1023 B", "1.5 KiB", "5.0 GiB", "\N{EN DASH}"),
        *("true", 120, "null", "59 s", "2 h"),
    ]
