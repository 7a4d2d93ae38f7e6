"""``fluxhybrid version``."""

from __future__ import annotations

import click

__all__ = ["command"]


@click.command("version")
def command() -> None:
    """Print the version."""
    from fluxhybrid import __version__

    click.echo(f"fluxhybrid {__version__}")
