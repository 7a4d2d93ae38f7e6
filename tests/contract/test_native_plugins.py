"""Plugins in the real engine: decoding, state kept of sources, chains, hot reload, a restart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fluxhybrid import Engine, Invalid, NotFound, PluginManager
from fluxhybrid.engine.settings import BUNDLED_PLUGINS
from tests.contract.native_fixture import PRODUCT, RULE, document, eventually

DUMMY = BUNDLED_PLUGINS / "dummy_plugin.wasm"
TOPIC = "v1/devices/thermo-1/telemetry"


def settings(data_dir: Path, **plugins: Any) -> dict[str, Any]:
    return {
        "data_dir": str(data_dir),
        "plugins": {"bundled_dir": str(BUNDLED_PLUGINS), **plugins},
    }


def decoded_by_plugin(generation: int = 1, **rule: Any) -> dict[str, Any]:
    told = document(generation, **rule)
    told["products"][0]["decode"] = {"type": "plugin", "plugin": "dummy_plugin"}
    return told


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(settings(tmp_path / "data")) as engine:
        yield engine


def value(engine: Engine, name: str = "temperature") -> Any:
    latest = engine.latest(1, "thermo-1")
    return latest and latest["values"].get(name, {}).get("value")


def test_product_is_decoded_by_its_plugin_and_ruled(engine: Engine) -> None:
    assert [p["health"] for p in engine.plugins() if p["id"] == "dummy_plugin"] == ["available"]
    engine.apply(decoded_by_plugin(trigger_script="temperature > 30"))
    assert engine.plugin("dummy_plugin")["health"] == "running"
    engine.publish(1, TOPIC, b'{"temperature": 31.5}', 1)
    assert eventually("the value", lambda: value(engine)) == 31.5
    (firing,) = eventually("the firing", lambda: engine.firings(1))
    assert firing["values"] == {"temperature": 31.5}
    text = engine.metrics_text()
    assert 'flux_plugin_failures_total{plugin="dummy_plugin",reason="trap"} 0' in text
    assert 'flux_plugin_duration_seconds_count{plugin="dummy_plugin"}' in text


def test_what_a_plugin_refuses_is_counted_and_the_next_message_goes_on(engine: Engine) -> None:
    engine.apply(decoded_by_plugin())
    engine.publish(1, TOPIC, b"no json at all", 1)
    engine.publish(1, TOPIC, b'{"temperature": 7}', 1)
    assert eventually("the value", lambda: value(engine)) == 7
    assert "flux_decode_failures_total 1" in engine.metrics_text()


def test_plugin_that_is_not_there_costs_its_messages_only(engine: Engine) -> None:
    told = decoded_by_plugin()
    told["products"][0]["decode"]["plugin"] = "no_such"
    engine.apply(told)
    engine.publish(1, TOPIC, b'{"temperature": 7}', 1)
    engine.publish(1, "v1/devices/valve-1/telemetry", b'{"open": 1}', 1)
    eventually("the neighbour's value", lambda: engine.latest(1, "valve-1"))
    assert engine.latest(1, "thermo-1") is None


def test_chains_of_products_and_rules_name_plugins(engine: Engine) -> None:
    told = document(trigger_script="temperature > 30", plugin_chain=[{"plugin": "dummy_plugin"}])
    told["products"][0]["plugin_chain"] = [{"plugin": "dummy_plugin"}]
    engine.apply(told)
    engine.publish(1, TOPIC, b'{"temperature": 40}', 1)
    (firing,) = eventually("the firing", lambda: engine.firings(1, RULE))
    assert firing["values"] == {"temperature": 40}


def test_plugins_are_installed_rolled_back_and_removed(tmp_path: Path) -> None:
    directory = tmp_path / "plugins"
    with Engine(settings(tmp_path / "data", dir=str(directory))) as engine:
        assert not directory.exists(), "nothing is made for nothing"
        with pytest.raises(Invalid) as refused:
            engine.install_plugin("broken", b"\0asm\1\0\0\0")
        assert refused.value.code == "plugin.interface"
        engine.install_plugin("mine", DUMMY.read_bytes())
        assert (directory / "mine.wasm").is_file()
        engine.install_plugin("mine", DUMMY.read_bytes(), None, b'title = "Mine"\n')
        assert engine.plugin("mine")["title"] == "Mine"
        engine.roll_back_plugin("mine")
        assert engine.plugin("mine")["title"] != "Mine"
        engine.remove_plugin("mine")
        with pytest.raises(NotFound):
            engine.plugin("mine")


def test_new_file_in_the_directory_is_put_in_force_while_messages_flow(tmp_path: Path) -> None:
    directory = tmp_path / "plugins"
    directory.mkdir()
    told = decoded_by_plugin()
    told["products"][0]["decode"]["plugin"] = "mine"
    with Engine(settings(tmp_path / "data", dir=str(directory))) as engine:
        engine.apply(told)
        (directory / "mine.wasm").write_bytes(DUMMY.read_bytes())
        engine.reload_plugins()
        engine.publish(1, TOPIC, b'{"temperature": 3}', 1)
        assert eventually("the value", lambda: value(engine)) == 3


def test_history_is_there_after_a_restart(tmp_path: Path) -> None:
    begin = int(time.time() * 1_000) - 1_000
    sent = [20.0, 20.5, 21.25]
    with Engine(settings(tmp_path / "data")) as engine:
        engine.apply(document())
        for ts, temperature in enumerate(sent):
            body = f'{{"values": {{"temperature": {temperature}}}, "ts": {begin + ts}}}'
            engine.publish(1, TOPIC, body.encode(), 1)
        eventually("the last value", lambda: value(engine) == sent[-1])
        before = engine.telemetry(1, "thermo-1", begin, begin + 10)
        assert [point[1] for point in before["series"][0]["points"]] == sent
    with Engine(settings(tmp_path / "data")) as engine:
        after = engine.telemetry(1, "thermo-1", begin, begin + 10)
        assert after == before
        step = engine.telemetry(
            1, "thermo-1", begin, begin + 3, step_ms=10_000, aggregations=["min", "max", "count"]
        )
        points = step["series"][0]["points"]
        assert sum(point[3] for point in points) == 3
        assert (min(p[1] for p in points), max(p[2] for p in points)) == (20.0, 21.25)
        assert engine.telemetry_names(1, "thermo-1") == ["temperature"]
        page = engine.telemetry(1, "thermo-1", begin, begin + 10, limit=2)
        rest = engine.telemetry(1, "thermo-1", begin, begin + 10, limit=2, after=page["next"])
        both = [p[1] for part in (page, rest) for p in part["series"][0]["points"]]
        assert both == sent
        removed = {
            "base_generation": engine.generation(),
            "generation": engine.generation() + 1,
            "delete": {"devices": ["22222222-2222-4222-8222-222222222221"]},
        }
        engine.apply(removed)
        added = {
            "base_generation": engine.generation(),
            "generation": engine.generation() + 1,
            "upsert": {
                "devices": [
                    {
                        "id": "22222222-2222-4222-8222-222222222221",
                        "tenant": 1,
                        "product": PRODUCT,
                        "key": "thermo-1",
                    }
                ]
            },
        }
        engine.apply(added)
        assert engine.telemetry_names(1, "thermo-1") == [], "its history went with it"


def test_plugin_manager_tells_what_a_plugin_says() -> None:
    plugins = PluginManager(pool_size=2)
    name = plugins.load(DUMMY)
    said = plugins.call_plugin(name, "decode", b'{"temperature": 21.5}', {"device": "t1"})
    assert isinstance(said, dict)
    assert said["messages"][0]["values"] == {"temperature": 21.5}
    assert said["error"] is None
    wrong = plugins.call_plugin(name, "decode", b"no json")
    assert isinstance(wrong, dict)
    assert wrong["error"]["code"]
    assert wrong["messages"] == []
    stats = plugins.get_pool_stats(name)
    assert stats["max_size"] == 2
    assert stats["hits"] + stats["misses"] >= 2
    with pytest.raises(NotFound):
        plugins.call_plugin("none", "decode", b"")
    with pytest.raises(Invalid) as wrong_context:
        plugins.call_plugin(name, "decode", b"", {"sauce": "x"})
    assert wrong_context.value.code == "plugin.context"
    with pytest.raises(Invalid) as no_batch:
        plugins.call_plugin(name, "decode_batch", b"\xff\xff\xff\xff")
    assert no_batch.value.code == "plugin.input"


def test_file_that_is_no_plugin_is_refused_with_the_reason(tmp_path: Path) -> None:
    plugins = PluginManager()
    (tmp_path / "text.wasm").write_text("hello")
    with pytest.raises(Invalid) as refused:
        plugins.load(tmp_path / "text.wasm")
    assert refused.value.code == "plugin.compile"
    with pytest.raises(Invalid) as missing:
        plugins.load(tmp_path / "none.wasm")
    assert missing.value.code == "plugin.store"
    with pytest.raises(Invalid) as nameless:
        plugins.load(b"\0asm")
    assert nameless.value.code == "plugin.id"
