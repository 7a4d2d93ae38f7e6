"""``[site]``: the constants rules see as ``env``."""

from __future__ import annotations

import re
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from fluxhybrid.config.section import Section

__all__ = ["EnvValue", "SiteConfig"]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_ENV_LEN_MAX: Final = 256


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise PydanticCustomError(
            "timezone",
            "{reason}",
            {
                "reason": f'names no time zone: "{name}"',
                "hint": 'write a name of the IANA database, such as "Europe/Berlin" or "UTC"',
            },
        ) from None
    return name


EnvValue = bool | int | float | Annotated[str, StringConstraints(max_length=4096)]
"""What ``[site.env]`` may hold: one scalar for each name."""


def _names(env: dict[str, EnvValue]) -> dict[str, EnvValue]:
    for name in env:
        if not _NAME.fullmatch(name):
            raise PydanticCustomError(
                "env_name",
                "{reason}",
                {
                    "key": name,
                    "reason": "is no name a script can use",
                    "hint": "use letters, digits and underscores, 64 at most, no digit first",
                },
            )
    return env


class SiteConfig(Section):
    """The place this installation serves: what scripts see as `env`."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        "site", description="Name of the site: `env.site` in scripts."
    )
    timezone: Annotated[
        str, StringConstraints(min_length=1, max_length=64), AfterValidator(_zone)
    ] = Field("UTC", description="IANA time zone: `env.timezone` in scripts.")
    tenant: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")] = Field(
        "default", description="Name of the default tenant (number 1)."
    )
    env: Annotated[dict[str, EnvValue], Field(max_length=_ENV_LEN_MAX), AfterValidator(_names)] = (
        Field(
            default_factory=dict,
            description="Constants of your own, as keys of the table `[site.env]`: text, numbers "
            "or booleans, 256 at most. In scripts they are the members of `env.user`.",
        )
    )
