"""``[[gateway.listeners]]``: an array of tables, in every layer and every output."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from fluxhybrid.config import load
from fluxhybrid.config.show import as_json, as_toml
from fluxhybrid.engine.settings import engine_settings
from fluxhybrid.errors import Invalid

LISTENERS = """
[gateway]
workers = 2

[[gateway.listeners]]
name = "dtu"
protocol = "tcp"
port = 9502
product = "dtu"
[gateway.listeners.identify]
by = "registration"
allow = ["10.0.0.0/8"]
framing = { type = "delimiter", delimiter = "\\r\\n" }

[[gateway.listeners]]
name = "udp"
protocol = "udp"
port = 9503
heads = [{ prefix = "hex:7e", product = "a" }]
identify = { by = "address" }
"""


def write(directory: Path, text: str) -> Path:
    file = directory / "fluxhybrid.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_listeners_reach_the_engine_as_they_are_written(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, LISTENERS), environ={})
    gateway = engine_settings(loaded.config)["gateway"]
    assert gateway["workers"] == 2
    assert gateway["listeners"] == tomllib.loads(LISTENERS)["gateway"]["listeners"]
    assert load(None, environ={"FLUXHYBRID_CONFIG": str(write(tmp_path, ""))}).config
    assert json.dumps(gateway)


def test_the_environment_sets_them_in_toml(tmp_path: Path) -> None:
    text = '[{name = "a", protocol = "tcp", port = 1, product = "p", identify = {by = "address"}}]'
    environ = {"FLUXHYBRID_GATEWAY__LISTENERS": text}
    loaded = load(write(tmp_path, ""), environ=environ)
    assert loaded.config.gateway.listeners[0]["identify"] == {"by": "address"}
    with pytest.raises(Invalid) as caught:
        load(write(tmp_path, ""), environ={"FLUXHYBRID_GATEWAY__LISTENERS": "[{"})
    assert caught.value.pointer == "/gateway/listeners"


def test_what_is_shown_reads_back_the_same(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, LISTENERS), environ={})
    again = load(write(tmp_path, as_toml(loaded)), environ={})
    assert again.config == loaded.config
    assert json.loads(as_json(loaded))["gateway"]["listeners"][0]["name"] == "dtu"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('[[gateway.listeners]]\nname = "a"', "[0] has no protocol"),
        (LISTENERS + "\nretries = 3", '[1] has "retries", which is no key of a listener'),
        (LISTENERS.replace('"udp"\nprotocol', '"dtu"\nprotocol'), "[1] has the name of another"),
        ("[gateway]\nlisteners = 5", "must be an array of tables"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(Invalid) as caught:
        load(write(tmp_path, text), environ={})
    assert what in str(caught.value)
    assert caught.value.pointer == "/gateway/listeners"
    assert caught.value.line
