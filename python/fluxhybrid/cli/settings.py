"""Reading the configuration for a command: the file, the environment and the command's flags."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

from fluxhybrid.cli.report import print_warnings

if TYPE_CHECKING:
    from fluxhybrid.config import Flag, Loaded

__all__ = ["config_option", "listening_options", "read_configuration"]

Given: TypeAlias = str | int | Path | None
Command: TypeAlias = Callable[..., object]


def config_option(function: Command) -> Command:
    """The flag ``--config``."""
    return click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Configuration file [$FLUXHYBRID_CONFIG, else ./fluxhybrid.toml if it is there].",
    )(function)


def listening_options(function: Command) -> Command:
    """The flags that go over settings: where to listen, where data lies."""
    port = click.IntRange(0, 65535)
    for option in (
        click.option("--data-dir", type=click.Path(path_type=Path), metavar="DIR",
                     help="Where log and database lie (data_dir)."),
        click.option("--mqtt-port", type=port, help="Port of the MQTT server (mqtt.port)."),
        click.option("--devices-port", type=port,
                     help="Port of HTTP for devices (devices.port)."),
        click.option("--port", type=port, help="Port of the HTTP API (server.port)."),
        click.option("--host", metavar="ADDRESS",
                     help="Address people and devices reach (server.host, mqtt.host, "
                     "devices.host); "
                     "0.0.0.0 opens them to every network."),
    ):  # fmt: skip
        function = option(function)
    return function


def read_configuration(
    config_file: Path | None,
    *,
    host: str | None = None,
    port: int | None = None,
    mqtt_port: int | None = None,
    devices_port: int | None = None,
    data_dir: Path | None = None,
) -> Loaded:
    """The configuration in force, its warnings printed.

    Raises:
        FluxError: it is not valid, or its file cannot be read.
    """
    from fluxhybrid.config import Flag, load

    given: list[tuple[tuple[str, ...], Given, str]] = [
        (("server", "host"), host, "--host"),
        (("mqtt", "host"), host, "--host"),
        (("devices", "host"), host, "--host"),
        (("server", "port"), port, "--port"),
        (("mqtt", "port"), mqtt_port, "--mqtt-port"),
        (("devices", "port"), devices_port, "--devices-port"),
        (("data_dir",), data_dir, "--data-dir"),
    ]
    flags: list[Flag] = [Flag(*entry) for entry in given if entry[1] is not None]
    loaded = load(config_file, flags=flags)
    print_warnings(loaded.warnings)
    return loaded
