"""The root command: finds a command by name, and turns errors into messages and exit codes."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any, Final, NoReturn

import click

from fluxhybrid.cli.report import print_error
from fluxhybrid.errors import EXIT_CODES, ErrorKind, FluxError

__all__ = ["cli", "main"]

_COMMANDS: Final = {
    "serve": "fluxhybrid.cli.serve",
    "config": "fluxhybrid.cli.config",
    "rule": "fluxhybrid.cli.rule",
    "plugin": "fluxhybrid.cli.plugin",
    "doctor": "fluxhybrid.cli.doctor",
    "version": "fluxhybrid.cli.version",
}
"""Each command's module; the command in it is called ``command``."""


class _OnDemand(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = import_module(module).command
        return command


@click.group(cls=_OnDemand, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Industrial IoT platform: devices over MQTT, rules, actions."""


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code.

    Args:
        argv: the arguments after the program's name; left out, the process's.
    """
    sys.exit(_exit_code(argv))


def _exit_code(argv: list[str] | None) -> int:
    try:
        result: Any = cli.main(args=argv, prog_name="fluxhybrid", standalone_mode=False)
    except FluxError as error:
        print_error(error)
        return error.exit_code
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as usage:
        usage.show()
        return EXIT_CODES[ErrorKind.INVALID]
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # The reader of a pipe left early (`… | head`): nothing to report, but the interpreter
        # would complain when it flushes on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return result if isinstance(result, int) else 0
