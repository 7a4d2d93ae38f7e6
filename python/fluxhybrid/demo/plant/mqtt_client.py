"""A device's MQTT connection, by paho: connects, comes back when it is lost, and says so.

Owns the client's settings. Must never wait without bound: what cannot be sent is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from paho.mqtt.client import (
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
)
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from fluxhybrid.demo.plant.child import Say

__all__ = ["DeviceConnection"]

KEEP_ALIVE_S: Final = 15
RECONNECT_MIN_S: Final = 1
RECONNECT_MAX_S: Final = 5
QUEUE_LEN_MAX: Final = 20
"""Messages waiting for the connection to come back; more are dropped."""
QOS: Final = 1

Heard = Callable[[bytes], None]


class DeviceConnection:
    """One device's connection.

    Args:
        key: the device's key, which is its user name.
        secret: its password.
        say: what it speaks with.
        protocol: 3.1.1 or 5.0.
        commands: the topic it is sent commands on, and who hears them.
        greeting: what to say once connected.
    """

    def __init__(
        self,
        key: str,
        secret: str,
        say: Say,
        *,
        protocol: MQTTProtocolVersion,
        commands: tuple[str, Heard] | None = None,
        greeting: str = "connected",
    ) -> None:
        self.key: Final = key
        self._say = say
        self._commands = commands
        self._greeting = greeting
        self._stopping = False
        client = Client(CallbackAPIVersion.VERSION2, client_id=key, protocol=protocol)
        client.username_pw_set(key, secret)
        client.reconnect_delay_set(RECONNECT_MIN_S, RECONNECT_MAX_S)
        client.max_queued_messages_set(QUEUE_LEN_MAX)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        self._client = client

    def start(self, host: str, port: int) -> None:
        """Connect, and go on trying."""
        self._client.connect_async(host, port, KEEP_ALIVE_S)
        self._client.loop_start()

    def publish(self, topic: str, body: Any) -> None:
        """Publish JSON, with QoS 1."""
        self._client.publish(topic, json.dumps(body), qos=QOS)

    def stop(self) -> None:
        """Say goodbye."""
        self._stopping = True
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(
        self,
        client: Client,
        _data: Any,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._say(self.key, f"is refused: {reason}")
            return
        if self._commands is not None:
            client.subscribe(self._commands[0], qos=QOS)
        self._say(self.key, self._greeting)

    def _on_disconnect(
        self,
        _client: Client,
        _data: Any,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if not self._stopping:
            self._say(self.key, f"lost its connection: {reason}")

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        if self._commands is not None:
            self._commands[1](bytes(message.payload))
