"""Shapes of plugins, in and out."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Base64Bytes, Field

from fluxhybrid.engine.notation import Input, Output, PluginId, Told

__all__ = ["PluginIn", "PluginList", "PluginOut"]

MODULE_BYTES_MAX: Final = 4 * 2**20
DOCUMENT_LEN_MAX: Final = 2**20
VECTORS_MAX: Final = 1_000


class PluginIn(Input):
    """A plugin to put in force, in place of what runs under its id."""

    id: PluginId = Field(description="What it is called from here on.")
    module_base64: Annotated[Base64Bytes, Field(max_length=MODULE_BYTES_MAX, strict=False)] = Field(
        description="The `.wasm`, base64."
    )
    vectors: Annotated[list[dict[str, Any]], Field(max_length=VECTORS_MAX)] | None = Field(
        None, description="What it is tried with; where one fails, nothing is changed."
    )
    manifest: Annotated[str, Field(max_length=DOCUMENT_LEN_MAX)] | None = Field(
        None, description="What people are told about it: its `plugin.toml`."
    )


class PluginOut(Told):
    """A plugin, with how it fares."""

    id: str
    health: Literal["running", "available", "set_aside", "refused"] = Field(
        description="`available` comes with the program and is loaded once something uses it; "
        "`set_aside` failed too often; `refused` cannot be loaded."
    )
    problems: list[dict[str, Any]] = Field(description="What is wrong with its newest files.")
    functions: list[str]
    title: str | None
    about: str | None
    version: str | None
    has_previous: bool = Field(description="Whether there is a version to go back to.")


class PluginList(Output):
    """All plugins, by id."""

    items: list[PluginOut]
