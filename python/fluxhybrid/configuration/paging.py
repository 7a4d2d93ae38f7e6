"""Pages of lists.

Owns the limit and the cursor. A cursor is the id the page ended with: it stays good while things
come and go, and nothing has to be kept between requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar
from uuid import UUID

from pydantic import Field, StringConstraints

from fluxhybrid.configuration.ports import Collection
from fluxhybrid.storage.records import Device, Principal, Product, Rule

__all__ = [
    "LIMIT_DEFAULT",
    "LIMIT_MAX",
    "Cursor",
    "EntryCursor",
    "Limit",
    "Page",
    "cut",
    "read_page",
]

LIMIT_DEFAULT: Final = 100
LIMIT_MAX: Final = 1_000

Limit = Annotated[int, Field(ge=1, le=LIMIT_MAX, description="Length of the page.")]
"""How many to list."""

Cursor = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9a-f]{32}$"),
    Field(description="`next_cursor` of the page before."),
]
"""Where to go on."""

EntryCursor = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9A-Za-z._-]{1,200}$"),
    Field(description="`next_cursor` of the page before."),
]
"""Where to go on in a list the engine keeps: the id of the entry the page ended with."""

R = TypeVar("R", Product, Device, Principal, Rule)


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """A part of a list, and where to go on; ``None`` at its end."""

    items: list[R]
    next_cursor: str | None


async def read_page(
    collection: Collection[R],
    tenant_id: int,
    *,
    limit: int,
    cursor: str | None,
    where: Mapping[str, object] | None = None,
) -> Page[R]:
    """One page of a tenant's records."""
    after = None if cursor is None else UUID(hex=cursor)
    # One more than asked for tells whether there is a next page.
    found = await collection.page(tenant_id, after=after, limit=limit + 1, where=where)
    items = found[:limit]
    return Page(items, items[-1].id.hex if len(found) > limit else None)


def cut(found: list[dict[str, Any]], limit: int) -> tuple[list[dict[str, Any]], str | None]:
    """A page of entries the engine gave, asked for one more than ``limit``, and where to go on."""
    items = found[:limit]
    return items, str(items[-1]["id"]) if len(found) > limit else None
