"""``[mqtt]``: the MQTT server devices connect to."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from fluxhybrid.config.quantities import ByteSize, Duration
from fluxhybrid.config.section import RESERVED, Host, ListenPort, Section, contradiction

__all__ = ["MqttConfig"]


def _path(value: Any) -> Any:
    return Path(value) if isinstance(value, str) and value else value


OptionalPath = Annotated[Path | None, BeforeValidator(_path)]


class MqttConfig(Section):
    """The MQTT server in the process: 3.1.1 and 5.0."""

    host: Host = Field(
        "127.0.0.1",
        description="Address to listen on. Loopback reaches this machine only; "
        '"0.0.0.0" opens it to every network the machine is in.',
    )
    port: ListenPort = Field(1883, description="TCP port; 0 takes a free one.")
    workers: int = Field(2, ge=1, le=64, description="Network threads.")
    allow_anonymous: bool = Field(
        False,
        description="Let clients in that give no user name. They may publish and subscribe "
        "anywhere in the default tenant: for a closed bench only.",
    )
    connections_max: int = Field(
        10_000,
        ge=1,
        le=4_000_000,
        description="Connections at the same time; one more is refused. Each needs a file "
        "descriptor (`ulimit -n`).",
    )
    packet_bytes_max: Annotated[ByteSize, Field(ge=1024, le=64 * 2**20)] = Field(
        2**20,
        description="Largest MQTT packet taken from a client; announced to MQTT 5 clients.",
    )
    connect_timeout: Annotated[
        Duration, Field(ge=timedelta(milliseconds=100), le=timedelta(minutes=5))
    ] = Field(
        timedelta(seconds=10),
        description="Time a new connection has to send its whole CONNECT.",
    )
    keep_alive_max: Annotated[
        Duration, Field(ge=timedelta(seconds=1), le=timedelta(seconds=65_535))
    ] = Field(
        timedelta(seconds=65_535),
        description="Longest keep-alive granted to MQTT 5 clients, which are told; in whole "
        "seconds. The default grants anything, even none; 3.1.1 clients keep their own.",
    )
    sessions_max: int = Field(
        1_000_000,
        ge=1,
        le=16_000_000,
        description="Sessions kept, connected or not; a new one beyond it is refused.",
    )
    session_expiry_max: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(days=3650))] = (
        Field(
            timedelta(days=7),
            description="Longest a session outlives its connection, whatever the client asks; in "
            "whole seconds.",
        )
    )
    session_queue_len_max: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="Messages that wait for one slow or absent subscriber; more are dropped "
        "and counted.",
    )
    session_queue_bytes_max: Annotated[ByteSize, Field(ge=1024, le=2**32)] = Field(
        16 * 2**20, description="Bytes that wait for one slow or absent subscriber."
    )
    queue_bytes_total_max: Annotated[ByteSize, Field(ge=1024, le=2**40)] = Field(
        256 * 2**20, description="Bytes that wait for all subscribers together."
    )
    session_inflight_max: int = Field(
        256,
        ge=1,
        le=65_535,
        description="QoS 1 and 2 deliveries to one client that it has not yet acknowledged.",
    )
    session_receive_max: int = Field(
        1_024,
        ge=1,
        le=65_535,
        description="QoS 1 and 2 messages from one client not yet acknowledged (MQTT 5: Receive "
        "Maximum); a 3.1.1 connection is paused at it.",
    )
    session_subscriptions_max: int = Field(
        1_000, ge=1, le=1_000_000, description="Subscriptions of one session."
    )
    subscriptions_max: int = Field(
        1_000_000, ge=1, le=100_000_000, description="Subscriptions of all sessions together."
    )
    enable_tls: bool = Field(
        False,
        description="Speak TLS on `port`. Refused as long as TLS is not built in: put a TLS "
        "proxy in front.",
        json_schema_extra=RESERVED,
    )
    tls_cert_path: OptionalPath = Field(
        None, description="PEM file: certificate chain.", json_schema_extra=RESERVED
    )
    tls_key_path: OptionalPath = Field(
        None, description="PEM file: private key.", json_schema_extra=RESERVED
    )
    tls_client_auth: bool = Field(
        False,
        description="Ask clients for a certificate. Refused as long as TLS is not built in.",
        json_schema_extra=RESERVED,
    )
    tls_ca_cert_path: OptionalPath = Field(
        None,
        description="PEM file: authorities that sign clients' certificates.",
        json_schema_extra=RESERVED,
    )

    @model_validator(mode="after")
    def _tls_is_not_pretended(self) -> Self:
        # Accepting the key and then speaking plain text would give secrets away.
        for key in ("enable_tls", "tls_client_auth"):
            if getattr(self, key):
                raise contradiction(
                    key,
                    "asks for TLS, which this version does not have",
                    "remove the key, keep the listener on loopback, and put a TLS proxy "
                    "(stunnel, HAProxy, nginx stream) in front of it",
                )
        return self
