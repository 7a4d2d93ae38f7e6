"""Whether the plugins that something names are there.

Owns the question, asked when a thing is configured. Must never be asked when what is stored is put
in force: a file that has gone must not stop the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from fluxhybrid.errors import Invalid, NotFound, Problem

__all__ = ["Plugins", "plugins_are_there"]


class Plugins(Protocol):
    """Knows which plugins there are."""

    def plugin(self, plugin_id: str) -> dict[str, Any]:
        """One plugin.

        Raises:
            NotFound: there is none of that id.
        """
        ...


def plugins_are_there(plugins: Plugins, named: Mapping[str, str | None]) -> None:
    """Check that every plugin is there.

    Args:
        plugins: which there are.
        named: plugins by where they are named, a JSON pointer.

    Raises:
        Invalid: ``plugin.unknown``, with all that are not.
    """
    problems = [
        Problem(
            "plugin.unknown",
            f"there is no plugin {plugin_id!r}",
            hint="GET /api/v1/plugins lists them; `fluxhybrid plugin install` brings one",
            pointer=pointer,
        )
        for pointer, plugin_id in named.items()
        if plugin_id is not None and not _is_there(plugins, plugin_id)
    ]
    if problems:
        raise Invalid(problems[0].code, problems[0].message, problems=problems)


def _is_there(plugins: Plugins, plugin_id: str) -> bool:
    try:
        plugins.plugin(plugin_id)
    except NotFound:
        return False
    return True
