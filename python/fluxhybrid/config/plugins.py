"""``[plugins]``: WebAssembly plugins and their limits."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from fluxhybrid.config.quantities import ByteSize, Duration
from fluxhybrid.config.section import Section

__all__ = ["PluginsConfig"]


def _path(value: Any) -> Any:
    return Path(value) if isinstance(value, str) and value else value


class PluginsConfig(Section):
    """WebAssembly plugins: where they lie, and what one instance may take."""

    dir: Annotated[Path, BeforeValidator(_path)] = Field(
        Path("./plugins"), description="Directory of `.wasm` files."
    )
    pool_size: int = Field(
        4,
        ge=1,
        le=1_024,
        description="Instances kept of one plugin.",
    )
    max_memory_bytes: Annotated[ByteSize, Field(ge=65_536, le=2**32)] = Field(
        16 * 2**20, description="Memory of one instance."
    )
    max_table_elements: int = Field(1_000, ge=0, le=10_000_000, description="Elements of a table.")
    max_instances: int = Field(10, ge=1, le=10_000, description="Instances in one store.")
    max_tables: int = Field(1, ge=0, le=100, description="Tables of one instance.")
    max_memories: int = Field(1, ge=0, le=100, description="Memories of one instance.")
    call_deadline: Annotated[
        Duration, Field(ge=timedelta(milliseconds=1), le=timedelta(seconds=1))
    ] = Field(timedelta(milliseconds=5), description="Time of one call.")
