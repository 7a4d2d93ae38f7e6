"""``fluxhybrid serve``."""

from __future__ import annotations

from pathlib import Path

import click

from fluxhybrid.cli.settings import config_option, listening_options, read_configuration

__all__ = ["command"]


@click.command("serve")
@config_option
@listening_options
@click.option("--headless", is_flag=True, help="Devices only: no API, no page, no database.")
@click.option("--demo", is_flag=True, help="Add a simulated plant to look at.")
def command(
    config_file: Path | None,
    host: str | None,
    port: int | None,
    mqtt_port: int | None,
    devices_port: int | None,
    data_dir: Path | None,
    headless: bool,
    demo: bool,
) -> int:
    """Run the platform until SIGINT or SIGTERM."""
    if headless and demo:
        raise click.UsageError("--demo needs the database that --headless does without")
    loaded = read_configuration(
        config_file,
        host=host,
        port=port,
        mqtt_port=mqtt_port,
        devices_port=devices_port,
        data_dir=data_dir,
    )
    from fluxhybrid.app import serve

    return serve(loaded.config, headless=headless, demo=demo)
