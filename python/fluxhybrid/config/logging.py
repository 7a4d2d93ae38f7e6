"""``[logging]``: what is written to the process's log."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from fluxhybrid.config.section import Section

__all__ = ["LEVELS", "LoggingConfig"]

LEVELS: Final = ("off", "error", "warn", "info", "debug", "trace")
_TARGET: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_:]*")


def _directives(text: str) -> str:
    for directive in text.split(","):
        target, equals, level = directive.strip().rpartition("=")
        if level not in LEVELS or (equals and not _TARGET.fullmatch(target)):
            raise PydanticCustomError(
                "log_level",
                "{reason}",
                {
                    "reason": f'has a part that is no level: "{directive.strip()}"',
                    "hint": f"the levels are {', '.join(LEVELS)}; for one target write "
                    '"info,wasm_plugin=warn"',
                },
            )
    return text


class LoggingConfig(Section):
    """The log on standard error."""

    level: Annotated[
        str, StringConstraints(min_length=1, max_length=1024), AfterValidator(_directives)
    ] = Field(
        "info",
        description="Least severe level written (off, error, warn, info, debug, trace), also "
        'by target: `"info,wasm_plugin=warn"`. `RUST_LOG` in the environment goes before it.',
    )
    format: Literal["text", "json"] = Field(
        "text", description="`text` for people, `json` (an object a line) for collectors."
    )
