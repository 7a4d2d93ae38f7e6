"""What every section of the configuration has in common.

Owns the base model and the marks a setting may carry. Must never hold a setting of its own.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

__all__ = ["RESERVED", "Host", "ListenPort", "Section", "contradiction"]

RESERVED: Final[dict[str, Any]] = {"reserved": True}
"""``json_schema_extra`` of a setting that is checked, but that nothing reads yet."""

ListenPort = Annotated[int, Field(ge=0, le=65535)]
"""A TCP port to listen on; 0 lets the system choose a free one."""

Host = Annotated[
    str, StringConstraints(min_length=1, max_length=253, pattern=r"^[0-9A-Za-z.:_-]+$")
]
"""An address to listen on: IPv4, IPv6 (without brackets) or a host name."""


class Section(BaseModel):
    """One table of the configuration file: immutable, no unknown keys, no silent conversions."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        validate_default=True,
        hide_input_in_errors=True,
    )


def contradiction(
    key: str, message: str, hint: str, *, beside: str | None = None
) -> PydanticCustomError:
    """The error for a setting that is right by itself but not beside its neighbours.

    Args:
        key: the setting to point at, by its name within the section; dots lead into a table.
        message: what is wrong, completing "<section>.<key> …".
        hint: how to mend it.
        beside: the neighbour it contradicts: the place to show when only that one was set.
    """
    return PydanticCustomError(
        "contradiction",
        "{reason}",
        {"key": key, "beside": beside or key, "reason": message, "hint": hint},
    )
