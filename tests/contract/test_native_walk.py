"""The whole way with a client that is not ours: publish, rule, command, reply, alarm, webhook."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from fluxhybrid import Engine
from tests.contract.native_fixture import PATIENCE_S, PRODUCT, RULE, document, eventually

ACTIONS: list[dict[str, Any]] = [
    {"type": "command", "device": "valve-1", "command": "close", "params": {"why": "heat"}},
    {"type": "publish", "topic": "plant/hot", "payload": {"hot": True}, "qos": 1},
    {"type": "raise_alarm", "alarm": "overheat", "severity": "critical", "text": "hot"},
    {"type": "webhook", "url": "http://127.0.0.1:9/hook", "headers": {"X-Plant": "7"}},
]

Connect = Callable[..., "Client"]


class Client:
    """A paho client with its messages in a queue."""

    def __init__(self, address: str, name: str | None, secret: str | None) -> None:
        self.messages: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._paho = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"c-{name or 'x'}")
        if name is not None:
            self._paho.username_pw_set(name, secret)
        self._paho.on_message = lambda _, __, m: self.messages.put((m.topic, bytes(m.payload)))
        self._subscribed: queue.Queue[None] = queue.Queue()
        self._paho.on_subscribe = lambda *_: self._subscribed.put(None)
        connected: queue.Queue[bool] = queue.Queue()
        self._paho.on_connect = lambda _, __, ___, reason, ____: connected.put(
            not reason.is_failure
        )
        host, _, port = address.rpartition(":")
        self._paho.connect(host, int(port))
        self._paho.loop_start()
        self.let_in = connected.get(timeout=PATIENCE_S)

    def subscribe(self, topic_filter: str) -> None:
        self._paho.subscribe(topic_filter, 1)
        self._subscribed.get(timeout=PATIENCE_S)

    def publish(self, topic: str, payload: object) -> None:
        """With QoS 1; acknowledged when this returns."""
        self._paho.publish(topic, json.dumps(payload), 1).wait_for_publish(PATIENCE_S)

    def receive(self) -> tuple[str, bytes]:
        return self.messages.get(timeout=PATIENCE_S)

    def close(self) -> None:
        self._paho.disconnect()
        self._paho.loop_stop()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path, mqtt_port=0, allow_anonymous=True)
    engine.apply(document(1, sources={"products": [PRODUCT]}, actions=ACTIONS))
    with engine:
        yield engine


@pytest.fixture
def connect(engine: Engine) -> Iterator[Connect]:
    clients: list[Client] = []

    def open_client(name: str | None = None, secret: str | None = None) -> Client:
        clients.append(Client(engine.addresses["mqtt"], name, secret))
        return clients[-1]

    yield open_client
    for client in clients:
        client.close()


def test_message_fires_a_rule_whose_command_comes_back_answered(
    engine: Engine, connect: Connect
) -> None:
    valve = connect("valve-1", "v1")
    valve.subscribe("v1/devices/valve-1/commands")
    watcher = connect()
    watcher.subscribe("plant/#")
    thermometer = connect("thermo-1", "t1")
    thermometer.publish("v1/devices/thermo-1/telemetry", {"temperature": 21.5})
    thermometer.publish("v1/devices/thermo-1/telemetry", {"temperature": 35.5})

    topic, payload = valve.receive()
    command = json.loads(payload)
    assert topic == "v1/devices/valve-1/commands"
    assert (command["command"], command["params"]) == ("close", {"why": "heat"})
    reply = {"id": command["id"], "ok": True, "result": {"position": 0}}
    valve.publish("v1/devices/valve-1/replies", reply)
    topic, payload = watcher.receive()
    assert (topic, json.loads(payload)) == ("plant/hot", {"hot": True})

    (done,) = eventually("the command succeeded", lambda: engine.commands(1, status="succeeded"))
    assert (done["id"], done["device_id"], done["result"]) == (
        command["id"], "valve-1", {"position": 0},
    )  # fmt: skip
    assert engine.command(1, command["id"]) == done
    (firing,) = engine.firings(1, RULE)
    assert (firing["values"], firing["device_id"]) == ({"temperature": 35.5}, "thermo-1")
    assert engine.firings(1, before=firing["id"]) == []
    (alarm,) = engine.alarms(1, "active", "thermo-1")
    assert (alarm["severity"], alarm["firing_id"]) == ("critical", firing["id"])
    assert engine.acknowledge_alarm(1, alarm["id"], "ann")["acknowledged_by"] == "ann"
    assert engine.clear_alarm(1, alarm["id"], "ann")["state"] == "cleared"
    latest = engine.latest(1, "thermo-1")
    assert latest is not None
    assert latest["values"]["temperature"]["value"] == 35.5
    assert engine.status(1, ["thermo-1", "absent"])["thermo-1"]["status"] == "online"

    (entry,) = engine.take_outbox(10)
    assert entry["action"] == {
        "type": "webhook", "url": "http://127.0.0.1:9/hook", "headers": {"X-Plant": "7"},
    }  # fmt: skip
    assert entry["firing_id"] == firing["id"]
    assert entry["body"]["values"] == {"temperature": 35.5}
    assert {"id", "ts", "max_age_ms", "tenant"} <= entry.keys()
    engine.complete_outbox(entry["id"], True, "HTTP 200", 1)
    assert "flux_rules_triggered_total 1\n" in engine.metrics_text()


def test_everything_is_there_after_a_restart(engine: Engine, connect: Connect) -> None:
    connect("thermo-1", "t1").publish("v1/devices/thermo-1/telemetry", {"temperature": 40})
    eventually("it fired", lambda: engine.firings(1))
    eventually("the alarm is raised", lambda: engine.alarms(1))
    before = (engine.firings(1), engine.alarms(1), engine.latest(1, "thermo-1"))
    hooks = eventually("the webhook waits", lambda: engine.take_outbox(1))
    assert engine.stop()
    engine.start()
    assert (engine.firings(1), engine.alarms(1), engine.latest(1, "thermo-1")) == before
    assert engine.take_outbox(1) == hooks


def test_command_sent_by_hand_waits_for_its_device(engine: Engine, connect: Connect) -> None:
    command_id = engine.send_command(1, "valve-1", "open", {"speed": [1, 2.5, None]})
    command = engine.command(1, command_id)
    assert command is not None
    assert command["status"] == "pending"
    valve = connect("valve-1", "v1")
    valve.subscribe("v1/devices/valve-1/commands")
    sent = json.loads(valve.receive()[1])
    assert sent == {"id": command_id, "command": "open", "params": {"speed": [1, 2.5, None]}}


def test_wrong_secret_is_refused(connect: Connect) -> None:
    assert not connect("thermo-1", "wrong").let_in
    assert connect("thermo-1", "t1").let_in


def test_what_python_publishes_reaches_clients(engine: Engine, connect: Connect) -> None:
    watcher = connect()
    watcher.subscribe("notes/#")
    engine.publish(1, "notes/a", "text", 1)
    engine.publish(1, "notes/b", b"\x00\xff")
    assert [watcher.receive(), watcher.receive()] == [
        ("notes/a", b"text"),
        ("notes/b", b"\x00\xff"),
    ]
