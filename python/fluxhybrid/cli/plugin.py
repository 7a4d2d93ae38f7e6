"""``fluxhybrid plugin``: from nothing to a plugin in a running server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from fluxhybrid.errors import Invalid

if TYPE_CHECKING:
    from fluxhybrid.plugins.building import Built
    from fluxhybrid.plugins.fuzzing import FuzzReport
    from fluxhybrid.plugins.ports import PluginHost
    from fluxhybrid.plugins.server import PluginServer
    from fluxhybrid.plugins.vectors import Vector

__all__ = ["command"]

_URL: Final = "http://127.0.0.1:8080"
_DIRECTORY: Final = click.Path(path_type=Path)
_NEVER: Final = 2**32 - 1
_PATIENT: Final = {
    "breaker": {"deadlines_max": _NEVER, "failures_max": _NEVER, "busy_share_max": float(_NEVER)}
}
"""A plugin that fails is called again: that is what it is tried for."""


@click.group("plugin")
def command() -> None:
    """Write, build and try plugins, and put them on a server."""


def _project_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.argument("directory", default=".", type=_DIRECTORY, metavar="[DIR|FILE.wasm]")(
        function
    )


def _server_options(function: Callable[..., Any]) -> Callable[..., Any]:
    url = click.option(
        "--url",
        default=_URL,
        envvar="FLUXHYBRID_URL",
        show_default=True,
        show_envvar=True,
        help="Where the server's API is.",
    )
    token = click.option(
        "--token",
        envvar="FLUXHYBRID_TOKEN",
        show_envvar=True,
        help="API token; better in the environment, where other users do not see it.",
    )
    return url(token(function))


# --- writing and building -----------------------------------------------------------------------


@command.command("new")
@click.argument("name")
@click.option(
    "--lang",
    "language",
    type=click.Choice(["rust", "c"]),
    default="rust",
    show_default=True,
    help="Which template.",
)
@click.option(
    "--in", "parent", type=_DIRECTORY, default=Path(), metavar="DIR", help="Where it goes [.]."
)
def new(name: str, language: Any, parent: Path) -> None:
    """Make a directory with a plugin that works, to be changed into yours."""
    from fluxhybrid.plugins.scaffold import new_project

    directory = new_project(name, language, parent)
    click.echo(f"made {directory}")
    click.echo(f"next: cd {directory} && fluxhybrid plugin build && fluxhybrid plugin test")


@command.command("build")
@click.argument("directory", default=".", type=_DIRECTORY, metavar="[DIR]")
@click.option("--out", type=_DIRECTORY, metavar="DIR", help="Where the module goes [DIR/dist].")
def build(directory: Path, out: Path | None) -> None:
    """Make a module of the plugin in DIR."""
    from fluxhybrid.plugins.building import build

    built = build(directory, out)
    size = built.module.stat().st_size
    click.echo(f"{built.module}: {size} bytes, by {built.compiler}")


# --- trying -------------------------------------------------------------------------------------


class _Loaded(NamedTuple):
    host: PluginHost
    plugin_id: str
    vectors: list[Vector]


@command.command("test")
@_project_argument
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def test(directory: Path, as_json: bool) -> None:
    """Try the plugin's vectors in the sandbox; a directory is built first."""
    from fluxhybrid.plugins.trial import try_vectors

    loaded = _load(directory)
    results = list(try_vectors(*loaded))
    failed = [result for result in results if not result.ok]
    if as_json:
        report = [{"name": r.vector.name, "differences": r.differences} for r in results]
        click.echo(json.dumps(report, ensure_ascii=False))
    else:
        for result in results:
            _print_result("ok" if result.ok else "FAIL", result.vector.name)
            for difference in result.differences:
                click.echo(f"      {difference}")
        click.echo(f"{len(results) - len(failed)} of {len(results)} vectors hold")
    if failed:
        raise click.exceptions.Exit(2)


def _print_result(state: str, name: str) -> None:
    colour = "green" if state == "ok" else "red"
    click.echo(f"{click.style(f'{state:>4}', fg=colour, bold=True)}  {name}")


@command.command("bench")
@_project_argument
@click.option(
    "--for", "seconds", type=click.FloatRange(0.1, 3_600), default=5, show_default=True,
    metavar="SECONDS", help="How long, in all.",
)  # fmt: skip
def bench(directory: Path, seconds: float) -> None:
    """Measure the processor time of a call through Python: one at a time, and in batches."""
    from fluxhybrid.plugins.timing import BATCH_LEN, measure
    from fluxhybrid.plugins.trial import calls_of

    host, plugin_id, vectors = _load(directory)
    calls = calls_of(host, plugin_id, vectors)
    chosen = [
        pair
        for pair in zip(vectors, calls, strict=True)
        if pair[0].expect.error is None and pair[0].function != "decode_batch"
    ]
    if not chosen:
        raise Invalid("plugin.vectors", "no vector can be measured", hint="write one that succeeds")
    click.echo(f"{'one at a time':>14} {f'of {BATCH_LEN}':>12}")
    for vector, wanted in chosen:
        timing = measure(host, plugin_id, wanted, seconds / len(chosen))
        batched = "-" if timing.batched_ns is None else f"{timing.batched_ns:,.0f} ns"
        click.echo(f"{timing.single_ns:>11,.0f} ns {batched:>12}  {vector.name}")


@command.command("fuzz")
@_project_argument
@click.option(
    "--for", "seconds", type=click.FloatRange(0.1, 86_400), default=30, show_default=True,
    metavar="SECONDS", help="How long.",
)  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True, help="Another one, other input.")
def fuzz(directory: Path, seconds: float, seed: int) -> None:
    """Call the plugin with vectors changed at random, and report what must not happen.

    An error of the plugin's own is a good answer to bad input. A trap, a loop, garbage and growing
    memory are not: they are kept as vectors in DIR/vectors/found_by_fuzz.json.
    """
    from fluxhybrid.plugins import fuzzing
    from fluxhybrid.plugins.trial import calls_of

    host, plugin_id, vectors = _load(directory)
    seeds = calls_of(host, plugin_id, vectors)
    report = fuzzing.fuzz(host, plugin_id, seeds, seconds=seconds, seed=seed)
    click.echo(
        f"{report.calls} calls: {report.decoded} decoded, {report.refused} refused, "
        f"{len(report.findings)} findings, {report.grown_bytes // 1024} KiB grown"
    )
    _report_findings(directory, report)


def _report_findings(directory: Path, report: FuzzReport) -> None:
    for finding in report.findings:
        _print_result("FAIL", f"{finding.code}: {finding.message}")
    if report.findings and directory.is_dir():
        file = directory / "vectors" / "found_by_fuzz.json"
        file.parent.mkdir(exist_ok=True)
        found = [finding.as_vector() for finding in report.findings]
        file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
        click.echo(f"kept in {file}: write down what must come of them")
    if report.leaks:
        click.echo(f"memory grew by {report.grown_bytes} bytes: something leaks")
    if report.findings or report.leaks:
        raise click.exceptions.Exit(2)


def _load(directory: Path) -> _Loaded:
    """A built plugin in a host, with its vectors."""
    from fluxhybrid.plugins.vectors import read_vectors

    if directory.suffix == ".wasm":
        module, vectors_file = directory, directory.with_suffix(".vectors.json")
    else:
        built = _built(directory)
        module, vectors_file = built.module, built.vectors
    vectors = read_vectors(vectors_file)
    if not vectors:
        raise Invalid(
            "plugin.vectors",
            "there are no vectors",
            source=str(vectors_file),
            hint="write some into vectors/*.json: without them nobody knows whether it works",
        )
    from fluxhybrid.engine import PluginManager

    # Without the vectors beside it: whether they hold is what the commands tell.
    host = PluginManager(limits=_PATIENT)
    return _Loaded(host, host.load(module.read_bytes(), module.stem), vectors)


def _built(directory: Path) -> Built:
    from fluxhybrid.plugins.building import build

    return build(directory)


# --- a running server ---------------------------------------------------------------------------


@command.command("install")
@click.argument("directory", default=".", type=_DIRECTORY, metavar="[DIR]")
@_server_options
def install(directory: Path, url: str, token: str | None) -> None:
    """Build the plugin in DIR and put it on a running server.

    The server compiles it and tries its vectors; only if they hold does it take over from the
    version before, between two messages.
    """
    built = _built(directory)
    with _server(url, token) as server:
        _print_plugin(server.install(built))


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@_server_options
def list_(as_json: bool, url: str, token: str | None) -> None:
    """List a running server's plugins."""
    with _server(url, token) as server:
        plugins = server.list()
    if as_json:
        click.echo(json.dumps(plugins, ensure_ascii=False))
        return
    for plugin in plugins:
        _print_plugin(plugin)


@command.command("reload")
@click.argument("plugin_id", metavar="ID")
@click.option("--rollback", is_flag=True, help="Go back to the version before instead.")
@_server_options
def reload(plugin_id: str, rollback: bool, url: str, token: str | None) -> None:
    """Let a running server read a plugin from its directory again."""
    with _server(url, token) as server:
        _print_plugin(server.rollback(plugin_id) if rollback else server.reload(plugin_id))


def _server(url: str, token: str | None) -> PluginServer:
    from fluxhybrid.plugins.server import PluginServer

    return PluginServer(url, token)


def _print_plugin(plugin: dict[str, Any]) -> None:
    words = [plugin["id"], plugin["version"], plugin["health"], plugin["about"]]
    click.echo("  ".join(word for word in words if word))
    for problem in plugin["problems"]:
        click.echo(f"      {problem['code']}: {problem['message']}")
