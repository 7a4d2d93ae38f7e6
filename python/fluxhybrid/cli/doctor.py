"""``fluxhybrid doctor``: is this machine ready, and if not, what to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fluxhybrid.cli.settings import config_option, listening_options, read_configuration
from fluxhybrid.errors import EXIT_CODES, ErrorKind, FluxError

if TYPE_CHECKING:
    from fluxhybrid.cli.checks import Finding

__all__ = ["command"]

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command("doctor")
@config_option
@listening_options
def command(
    config_file: Path | None,
    host: str | None,
    port: int | None,
    mqtt_port: int | None,
    devices_port: int | None,
    data_dir: Path | None,
) -> int:
    """Look for what would keep the platform from running well.

    Each line is ok, warn or fail; what is not ok says how to mend it. Exit code 6 if anything
    fails. Start it where and as whom `serve` will run, and while `serve` does not.
    """
    from fluxhybrid.cli import checks

    findings: list[Finding] = [checks.python(), checks.event_loop(), checks.native_module()]
    try:
        config = read_configuration(
            config_file,
            host=host,
            port=port,
            mqtt_port=mqtt_port,
            devices_port=devices_port,
            data_dir=data_dir,
        ).config
    except FluxError as error:
        findings += [
            checks.Finding("fail", "configuration", f"{problem.where}: {problem.message}",
                           problem.hint)
            for problem in error.problems
        ]  # fmt: skip
    else:
        findings.append(checks.Finding("ok", "configuration", "valid"))
        findings += checks.of_configuration(config)
    findings.append(checks.clock())
    for finding in findings:
        _print(finding)
    return (
        EXIT_CODES[ErrorKind.UNAVAILABLE]
        if any(finding.state == "fail" for finding in findings)
        else 0
    )


def _print(finding: Finding) -> None:
    state = click.style(f"{finding.state:<4}", fg=_COLOURS[finding.state], bold=True)
    click.echo(f"{state}  {finding.subject}: {finding.text}")
    if finding.mend and finding.state != "ok":
        click.echo(f"      help: {finding.mend}")
