"""``fluxhybrid config``: check, show, reference."""

from __future__ import annotations

from pathlib import Path

import click

from fluxhybrid.cli.settings import config_option, listening_options, read_configuration

__all__ = ["command"]


@click.group("config")
def command() -> None:
    """Check, show and explain the configuration."""


@command.command("check")
@click.argument("file", required=False, type=click.Path(path_type=Path))
def check(file: Path | None) -> None:
    """Report everything that is wrong with the configuration.

    FILE is the file to check; left out, it is the one `serve` would read. The environment is
    checked with it, as `serve` does.
    """
    loaded = read_configuration(file)
    place = str(loaded.file) if loaded.file else "no file, every key at its default or from outside"
    click.echo(f"ok: {place}")


@command.command("show")
@config_option
@listening_options
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@click.option(
    "--format", "notation", type=click.Choice(["toml", "json"]), default="toml", show_default=True
)
def show(
    config_file: Path | None,
    host: str | None,
    port: int | None,
    mqtt_port: int | None,
    devices_port: int | None,
    data_dir: Path | None,
    origin: bool,
    notation: str,
) -> None:
    """Print the configuration in force, passwords masked."""
    loaded = read_configuration(
        config_file,
        host=host,
        port=port,
        mqtt_port=mqtt_port,
        devices_port=devices_port,
        data_dir=data_dir,
    )
    from fluxhybrid.config.show import as_json, as_toml

    write = as_json if notation == "json" else as_toml
    click.echo(write(loaded, origins=origin), nl=False)


@command.command("reference")
def reference() -> None:
    """Print every key, its default and its bounds as Markdown."""
    from fluxhybrid.config.reference import reference as page

    click.echo(page(), nl=False)
