"""How problems look on a terminal: what, where, how to mend it.

Owns the shape of messages on standard error. Must never decide an exit code.
"""

from __future__ import annotations

from collections.abc import Iterable

import click

from fluxhybrid.errors import FluxError, Problem

__all__ = ["print_error", "print_warnings"]


def print_error(error: FluxError) -> None:
    """Each problem of the error, and their number when there are several."""
    for problem in error.problems:
        _print("error", "red", problem)
    if len(error.problems) > 1:
        click.secho(f"{len(error.problems)} problems", err=True, bold=True)


def print_warnings(problems: Iterable[Problem]) -> None:
    """Each problem as something that is wrong but stops nothing."""
    for problem in problems:
        _print("warning", "yellow", problem)


def _print(severity: str, colour: str, problem: Problem) -> None:
    head = click.style(f"{severity}[{problem.code}]", fg=colour, bold=True)
    click.echo(f"{head}: {problem.message}", err=True)
    if problem.where:
        click.echo(f"  --> {problem.where}", err=True)
    if problem.excerpt and problem.excerpt.strip():
        _print_excerpt(problem)
    if problem.hint:
        click.echo(f"  {click.style('help', bold=True)}: {problem.hint}", err=True)


def _print_excerpt(problem: Problem) -> None:
    number = str(problem.line or "")
    excerpt = (problem.excerpt or "").replace("\t", " ")
    click.echo(f"  {number} | {excerpt}", err=True)
    if problem.column is not None and problem.column <= len(excerpt) + 1:
        click.echo(f"  {' ' * len(number)} | {' ' * (problem.column - 1)}^", err=True)
