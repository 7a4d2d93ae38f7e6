"""Shapes of products and devices, in and out."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from fluxhybrid.engine.notation import (
    Grants,
    Id,
    Input,
    JsonObject,
    Key,
    Name,
    Output,
    PluginChain,
    PluginId,
    Script,
    TopicTemplate,
    absent,
)

__all__ = [
    "AnyDecode",
    "Decode",
    "DeviceIn",
    "DeviceList",
    "DeviceOut",
    "DevicePatch",
    "DeviceWithSecret",
    "PluginDecode",
    "ProductIn",
    "ProductList",
    "ProductOut",
    "ProductPatch",
]

TAGS_MAX: Final = 32
DECODE_VALUES_MAX: Final = 1_024

_Word = Annotated[
    str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f]+$")
]
_JsonPath = Annotated[
    str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")
]
_TagValue = Annotated[str, StringConstraints(max_length=60, pattern=r"^[^\x00-\x1f\x7f]*$")]
Tags = Annotated[dict[_Word, _TagValue], Field(max_length=TAGS_MAX)]


class Decode(Input):
    """How the payloads of a product's devices become values."""

    type: Literal["json"] = Field("json", description="JSON, with or without a mapping of paths.")
    device: _JsonPath | None = Field(
        None, description="Path to the device's key in the payload; the topic's if left out."
    )
    ts: _JsonPath | None = Field(
        None, description="Path to the time in the payload; that of receipt if left out."
    )
    ts_unit: Literal["s", "ms", "us", "ns", "rfc3339"] = Field(
        "ms", description="What that time is written in."
    )
    values: Annotated[dict[_Word, _JsonPath], Field(max_length=DECODE_VALUES_MAX)] | None = Field(
        None,
        description="Path by name of value, such as `data[0].t`; every scalar if left out.",
    )


class PluginDecode(Input):
    """Payloads are the plugin's to understand: the product's ``protocol_plugin_id``."""

    type: Literal["plugin"]
    settings: JsonObject = Field(
        default_factory=dict, description="What the plugin is told: an object of its own making."
    )
    grants: Grants = Field(default_factory=list, description="What it may have carried out.")


AnyDecode = Annotated[Decode | PluginDecode, Field(discriminator="type")]


class ProductIn(Input):
    """A product to add."""

    key: Key | None = Field(None, description="Unique in the tenant; the id if left out.")
    name: Name | None = Field(None, description="The key if left out.")
    topic_template: TopicTemplate = Field(
        "v1/devices/{device}/telemetry", description="Where its devices send telemetry."
    )
    command_topic_template: TopicTemplate = Field(
        "v1/devices/{device}/commands", description="Where its devices are sent commands."
    )
    reply_topic_template: TopicTemplate = Field(
        "v1/devices/{device}/replies", description="Where its devices answer commands."
    )
    protocol_plugin_id: PluginId | None = Field(
        None, description="The plugin that decodes payloads and encodes commands."
    )
    decode: AnyDecode | None = Field(
        None, description="How payloads become values: as JSON, or by the plugin, if left out."
    )
    plugin_chain: PluginChain = Field(
        default_factory=list,
        description="Plugins that look at each decoded message before it is stored, in order.",
    )
    transform: Script | None = Field(
        None, description="Rhai script that edits values after decoding and before storage."
    )
    link: JsonObject | None = Field(
        None,
        description="How its devices are spoken with over raw TCP and UDP: framing, heartbeats, "
        "poll plan, where to connect to. See docs/gateway.md.",
    )
    metadata: JsonObject = Field(
        default_factory=dict, description="The thing model and whatever else belongs to it."
    )


class ProductPatch(Input):
    """What to change in a product; the rest stays."""

    key: Key = Field(default_factory=absent)
    name: Name = Field(default_factory=absent)
    topic_template: TopicTemplate = Field(default_factory=absent)
    command_topic_template: TopicTemplate = Field(default_factory=absent)
    reply_topic_template: TopicTemplate = Field(default_factory=absent)
    protocol_plugin_id: PluginId | None = None
    decode: AnyDecode = Field(default_factory=absent)
    plugin_chain: PluginChain = Field(default_factory=absent)
    transform: Script | None = None
    link: JsonObject | None = None
    metadata: JsonObject = Field(default_factory=absent)


class ProductOut(Output):
    """A product."""

    id: UUID
    key: str
    name: str
    topic_template: str
    command_topic_template: str
    reply_topic_template: str
    protocol_plugin_id: str | None
    decode: dict[str, Any]
    plugin_chain: list[dict[str, Any]]
    transform: str | None
    link: dict[str, Any] | None
    metadata: dict[str, Any]
    created_at_ms: int
    updated_at_ms: int


class ProductList(Output):
    """A page of products."""

    items: list[ProductOut]
    next_cursor: str | None


class DeviceIn(Input):
    """A device to add."""

    product_id: Id = Field(description="Its product.")
    key: Key | None = Field(
        None,
        description="Unique in the tenant, and its MQTT user name; the id if left out.",
    )
    name: Name | None = Field(None, description="The key if left out.")
    enabled: bool = Field(True, description="Whether it may sign in and is listened to.")
    tags: Tags = Field(default_factory=dict, description="Labels.")


class DevicePatch(Input):
    """What to change in a device; the rest stays."""

    product_id: Id = Field(default_factory=absent)
    key: Key = Field(default_factory=absent)
    name: Name = Field(default_factory=absent)
    enabled: bool = Field(default_factory=absent)
    tags: Tags = Field(default_factory=absent)


class DeviceOut(Output):
    """A device, with its state as the engine knows it."""

    id: UUID
    product_id: UUID
    key: str
    name: str
    enabled: bool
    has_secret: bool
    tags: dict[str, str]
    status: Literal["online", "offline"]
    last_online: int | None = Field(description="Milliseconds since 1970.")
    created_at_ms: int
    updated_at_ms: int


class DeviceWithSecret(DeviceOut):
    """A device with a new secret: it is not kept, and cannot be shown again."""

    secret: str = Field(description="Its MQTT password.")


class DeviceList(Output):
    """A page of devices."""

    items: list[DeviceOut]
    next_cursor: str | None
