"""Shapes of rules, in and out."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import Field

from fluxhybrid.actions import ACTIONS_MAX, ActionSettings
from fluxhybrid.engine.notation import (
    Id,
    Input,
    JsonObject,
    Key,
    Name,
    Output,
    PluginChain,
    Script,
    Topic,
    TopicFilter,
    absent,
)

__all__ = [
    "Reloaded",
    "RuleIn",
    "RuleList",
    "RuleOut",
    "RulePatch",
    "RuleTest",
    "RuleTestMessage",
    "RuleTested",
    "RuleVersionList",
    "RuleVersionOut",
    "Sources",
]

TS_MS_MAX: Final = 9_223_372_036_854
"""The last that the engine can count in nanoseconds: in the year 2262."""
SOURCES_MAX: Final = 256
"""Of each kind."""

Actions = Annotated[list[ActionSettings], Field(max_length=ACTIONS_MAX)]


class Sources(Input):
    """What a rule listens to; everything of the tenant when all lists are empty."""

    topics: Annotated[list[TopicFilter], Field(max_length=SOURCES_MAX)] = Field(
        default_factory=list, description="Topic filters."
    )
    products: Annotated[list[Id], Field(max_length=SOURCES_MAX)] = Field(
        default_factory=list, description="Products, by id."
    )
    devices: Annotated[list[Id], Field(max_length=SOURCES_MAX)] = Field(
        default_factory=list, description="Devices, by id."
    )


class RuleIn(Input):
    """A rule to add."""

    name: Name = Field(description="What people call it.")
    enabled: bool = Field(True, description="Whether it runs.")
    trigger_script: Script = Field(description="Rhai; true triggers the actions.")
    sources: Sources = Field(default_factory=Sources)
    plugin_chain: PluginChain = Field(
        default_factory=list,
        description="Plugins that look at each message before the script does, and at each firing.",
    )
    actions: Actions = Field(default_factory=list, description="What is done, in order.")


class RulePatch(Input):
    """What to change in a rule; the rest stays."""

    name: Name = Field(default_factory=absent)
    enabled: bool = Field(default_factory=absent)
    trigger_script: Script = Field(default_factory=absent)
    sources: Sources = Field(default_factory=absent)
    plugin_chain: PluginChain = Field(default_factory=absent)
    actions: Actions = Field(default_factory=absent)


class RuleOut(Output):
    """A rule."""

    id: UUID
    version: int = Field(description="Grows by one with each change.")
    name: str
    enabled: bool
    trigger_script: str
    action_type: str | None = Field(description="Type of the first action.")
    sources: dict[str, list[str]]
    plugin_chain: list[dict[str, Any]]
    actions: list[dict[str, Any]]
    created_at_ms: int
    updated_at_ms: int


class RuleList(Output):
    """A page of rules."""

    items: list[RuleOut]
    next_cursor: str | None


class RuleVersionOut(Output):
    """A rule as it was."""

    version: int
    rule: dict[str, Any]
    created_at_ms: int


class RuleVersionList(Output):
    """A rule's versions, newest first."""

    items: list[RuleVersionOut]


class RuleTestMessage(Input):
    """A message to try a rule on, as scripts see it in ``msg``."""

    device_id: Key = Field("test-device", description="Key of the device.")
    topic: Topic = Field("test", description="Topic it came on.")
    ts: Annotated[int, Field(ge=0, le=TS_MS_MAX)] | None = Field(
        None, description="Milliseconds since 1970; now if left out."
    )
    values: JsonObject = Field(default_factory=dict, description="What it reports.")


class RuleTest(Input):
    """A rule to try."""

    trigger_script: Script
    message: RuleTestMessage = Field(default_factory=RuleTestMessage)


class RuleTested(Output):
    """What came of it. Nothing was sent, published or raised."""

    triggered: bool
    effects: list[dict[str, Any]] = Field(description="What the script's functions asked for.")
    logs: list[dict[str, Any]] = Field(description="What it wrote to its log.")
    error: dict[str, Any] | None = Field(description="Why it was stopped, if it was.")
    missing_value: bool = Field(description="It needs a value that the message lacks.")
    operations: int = Field(description="Operations it took.")


class Reloaded(Output):
    """Both truths after a reload."""

    stored_generation: int
    generation_in_force: int
