"""``[gateway]``: devices that speak raw TCP or UDP."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Final, Self

from pydantic import Field, model_validator

from fluxhybrid.config.quantities import Duration
from fluxhybrid.config.section import Section, contradiction

__all__ = ["GatewayConfig"]

LISTENERS_MAX: Final = 64
_NEEDED: Final = ("name", "protocol", "port", "identify")
_KNOWN: Final = frozenset(
    {
        *_NEEDED,
        "host",
        "tenant",
        "product",
        "heads",
        "framing",
        "registration_timeout_ms",
        "takeover",
        "connections_max",
        "connections_per_ip_max",
        "frames_per_s_max",
    }
)

_Wait = Annotated[Duration, Field(ge=timedelta(milliseconds=10), le=timedelta(hours=1))]


class GatewayConfig(Section):
    """Devices that speak raw TCP or UDP: where they come in, and connections opened to them."""

    workers: int = Field(1, ge=1, le=64, description="Network threads.")
    connections_max: int = Field(
        20_000,
        ge=1,
        le=4_000_000,
        description="Connections at the same time, over all listeners and those opened by us.",
    )
    connect_timeout: _Wait = Field(
        timedelta(seconds=5), description="Time a connection opened by us may take."
    )
    reconnect_min: _Wait = Field(
        timedelta(seconds=1),
        description="Time until a connection of ours that broke is opened again; doubled each "
        "time it fails.",
    )
    reconnect_max: _Wait = Field(timedelta(minutes=1), description="Longest such time.")
    listeners: list[dict[str, Any]] = Field(
        default_factory=list,
        max_length=LISTENERS_MAX,
        description="`[[gateway.listeners]]`: one table each, as docs/gateway.md tells: `name`, "
        "`protocol`, `host`, `port`, `product` or `heads`, `identify`, `framing`, limits.",
    )

    @model_validator(mode="after")
    def _listeners_are_tables_of_known_keys(self) -> Self:
        for number, listener in enumerate(self.listeners):
            where = f"[{number}]"
            if missing := [key for key in _NEEDED if key not in listener]:
                raise contradiction(
                    "listeners",
                    f"{where} has no {missing[0]}",
                    "give each listener " + ", ".join(_NEEDED),
                )
            if strange := sorted(listener.keys() - _KNOWN):
                raise contradiction(
                    "listeners",
                    f'{where} has "{strange[0]}", which is no key of a listener',
                    "a listener knows: " + ", ".join(sorted(_KNOWN)),
                )
            if any(other["name"] == listener["name"] for other in self.listeners[:number]):
                raise contradiction(
                    "listeners", f"{where} has the name of another", "give each a name of its own"
                )
        return self
