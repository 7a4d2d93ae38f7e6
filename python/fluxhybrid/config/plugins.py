"""``[plugins]``: WebAssembly plugins and their limits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from fluxhybrid.config.quantities import ByteSize
from fluxhybrid.config.section import RESERVED, Section

__all__ = ["PluginsConfig"]


def _path(value: Any) -> Any:
    return Path(value) if isinstance(value, str) and value else value


class PluginsConfig(Section):
    """WebAssembly plugins: where they lie, and what one instance may take."""

    dir: Annotated[Path, BeforeValidator(_path)] = Field(
        Path("./plugins"), description="Directory of `.wasm` files.", json_schema_extra=RESERVED
    )
    pool_size: int = Field(
        4,
        ge=1,
        le=1_024,
        description="Instances kept of one plugin.",
        json_schema_extra=RESERVED,
    )
    max_memory_bytes: Annotated[ByteSize, Field(ge=65_536, le=2**32)] = Field(
        16 * 2**20, description="Memory of one instance.", json_schema_extra=RESERVED
    )
    max_table_elements: int = Field(
        1_000, ge=0, le=10_000_000, description="Elements of a table.", json_schema_extra=RESERVED
    )
    max_instances: int = Field(
        10, ge=1, le=10_000, description="Instances in one store.", json_schema_extra=RESERVED
    )
    max_tables: int = Field(
        1, ge=0, le=100, description="Tables of one instance.", json_schema_extra=RESERVED
    )
    max_memories: int = Field(
        1, ge=0, le=100, description="Memories of one instance.", json_schema_extra=RESERVED
    )
