"""What a URL of the API is made of: where it begins, and what names a record."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from fluxhybrid.engine.notation import Key

__all__ = ["PREFIX", "Reference"]

PREFIX: Final = "/api/v1"
"""Where every resource's path begins."""

Reference = Annotated[Key, Field(description="Its id or its key.")]
"""A UUID or a key: a key's letters allow for both."""
