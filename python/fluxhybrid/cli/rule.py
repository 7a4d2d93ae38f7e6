"""``fluxhybrid rule``: try rules out before they run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from fluxhybrid.errors import Invalid, NotFound, Problem

if TYPE_CHECKING:
    from fluxhybrid.engine import ScriptEngine

__all__ = ["command"]

_INPUT_BYTES_MAX: Final = 16 * 2**20


@click.group("rule")
def command() -> None:
    """Check rules and try them on messages."""


@command.command("check")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
def check(files: tuple[Path, ...]) -> None:
    """Compile rules without running them."""
    from fluxhybrid.engine import ScriptEngine

    engine = ScriptEngine()
    problems: list[Problem] = []
    for file in files:
        try:
            _compile(engine, file)
        except Invalid as error:
            problems += error.problems
        else:
            click.echo(f"ok: {file}")
    if problems:
        raise Invalid("rule.check", "some rules do not compile", problems=problems)


@command.command("test")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--message",
    "message_file",
    required=True,
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE|-",
    help="The message, a JSON object as scripts see it in `msg`; - is standard input.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def test(file: Path, message_file: Path, as_json: bool) -> None:
    """Evaluate the rule in FILE on one message and print what it would do."""
    message = _message(message_file)
    from fluxhybrid.engine import ScriptEngine

    engine = ScriptEngine()
    rule_id = _compile(engine, file)
    outcome = engine.eval_message(rule_id, message)
    effects, logs, error = outcome.effects, outcome.logs, outcome.error
    if as_json:
        report = {
            "triggered": outcome.triggered,
            "effects": effects,
            "logs": logs,
            "error": error,
        }
        click.echo(json.dumps(report, default=str))
        return
    for line in logs:
        click.echo(f"log: {line['level']}: {line['text']}")
    if error is not None:
        raise Invalid(
            error["code"],
            error["message"],
            hint=error["hint"],
            source=str(file),
            line=error["line"],
            column=error["column"],
        )
    click.echo("triggered" if outcome.triggered else "not triggered")
    for effect in effects:
        click.echo(f"effect: {json.dumps(effect, default=str)}")


def _compile(engine: ScriptEngine, file: Path) -> str:
    """Compile the rule in a file under the file's name, which is given back."""
    source = _text(file)
    try:
        engine.compile_script(file.stem, source)
    except Invalid as error:
        # The engine knows line and column, but not which file they are of.
        lines = source.split("\n")
        line = error.line
        raise Invalid(
            error.code,
            error.message,
            hint=error.hint,
            source=str(file),
            line=line,
            column=error.column,
            excerpt=lines[line - 1] if line is not None and 0 < line <= len(lines) else None,
        ) from None
    return file.stem


def _message(file: Path) -> dict[str, Any]:
    text = _text(file)
    try:
        message = json.loads(text)
    except json.JSONDecodeError as error:
        lines = text.split("\n")
        raise Invalid(
            "rule.message",
            f"the message is not JSON: {error.msg[:1].lower()}{error.msg[1:]}",
            source=str(file),
            line=error.lineno,
            column=error.colno,
            excerpt=lines[error.lineno - 1] if error.lineno <= len(lines) else None,
            hint='write an object, such as {"device_id": "d1", "values": {"temperature": 31}}',
        ) from None
    except RecursionError:
        raise Invalid(
            "rule.message", "the message is nested too deeply", source=str(file)
        ) from None
    if not isinstance(message, dict):
        raise Invalid(
            "rule.message",
            "the message is no JSON object",
            source=str(file),
            hint='write an object, such as {"device_id": "d1", "values": {"temperature": 31}}',
        )
    return message


def _text(file: Path) -> str:
    try:
        if str(file) == "-":
            raw = sys.stdin.buffer.read(_INPUT_BYTES_MAX + 1)
        else:
            with file.open("rb") as stream:
                raw = stream.read(_INPUT_BYTES_MAX + 1)
    except FileNotFoundError:
        raise NotFound(
            "rule.file", "there is no such file", source=str(file), hint="check the path"
        ) from None
    except OSError as error:
        raise Invalid(
            "rule.file", f"the file cannot be read: {error.strerror}", source=str(file)
        ) from None
    if len(raw) > _INPUT_BYTES_MAX:
        raise Invalid(
            "rule.file", f"the file is longer than {_INPUT_BYTES_MAX} bytes", source=str(file)
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(
            "rule.file",
            "the file is not UTF-8",
            source=str(file),
            line=raw.count(b"\n", 0, error.start) + 1,
            hint="save the file as UTF-8",
        ) from None
