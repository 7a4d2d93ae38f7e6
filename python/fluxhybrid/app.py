"""The composition root: starts everything, in order, and stops it.

Owns the order of start and stop, signals, and what is printed at start. The one module that knows
everything. Must never do the work of a part: it only puts parts together. Headless, it loads
neither the web framework nor the database library.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from fluxhybrid.actions.outbox import OutboxRunner
from fluxhybrid.actions.webhook import WebhookRunner
from fluxhybrid.errors import Invalid, Unavailable
from fluxhybrid.operations.listener import OperationsListener
from fluxhybrid.operations.logs import set_up_logs
from fluxhybrid.operations.metrics import metrics_page, webhook_metrics_text
from fluxhybrid.operations.process import free_bytes, resident_bytes
from fluxhybrid.operations.sockets import address_text, listen

if TYPE_CHECKING:
    import socket

    from fluxhybrid.api.application import Services
    from fluxhybrid.config import Config
    from fluxhybrid.configuration.service import Configuration
    from fluxhybrid.engine.ports import EnginePort, ScriptTester
    from fluxhybrid.operations.metrics import HttpMetrics
    from fluxhybrid.storage import Database
    from fluxhybrid.telemetry.stream import Watchers

__all__ = ["Context", "Platform", "serve"]

_log = logging.getLogger(__name__)

ENGINE_STOP_TIMEOUT_MS: Final = 5_000
STOP_TIMEOUT_S: Final = 15.0
"""Time everything together has to stop; after it the process ends as it is."""
_EXIT_INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class Context:
    """What a part that is started after everything else may use, such as the demo."""

    config: Config
    engine: EnginePort
    addresses: dict[str, str]
    """Where everything listens: ``mqtt``, ``api``, ``metrics``; ``host:port`` each."""
    api_url: str
    """Where the API is, without the path."""
    api_token: str
    """A token of this process's own, gone with it."""


class Platform:
    """A running platform.

    Args:
        config: the configuration.
        engine: the data plane, not yet started.
        tester: what tries rules out.
        headless: devices only.
        demo: with a simulated plant.
    """

    def __init__(
        self,
        config: Config,
        engine: EnginePort,
        tester: ScriptTester,
        *,
        headless: bool = False,
        demo: bool = False,
    ) -> None:
        self.config: Final = config
        self.engine: Final = engine
        self.addresses: Final[dict[str, str]] = {}
        self.first_token: str | None = None
        self._tester = tester
        self._headless = headless
        self._demo = demo
        self._own_token = ""
        self._stack = AsyncExitStack()
        self._started_at_ms = 0
        self._outbox = OutboxRunner(engine, {"webhook": self._new_webhook_runner})
        self._webhooks: WebhookRunner | None = None

    async def start(self) -> None:
        """Start everything; what was started is stopped again when something fails.

        Raises:
            FluxError: what failed, such as a port in use or a database out of reach.
        """
        self._started_at_ms = time.time_ns() // 1_000_000
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def start_demo(self) -> None:
        """Start the simulated plant, if it is wanted: last, for it goes on writing to the terminal.

        Raises:
            FluxError: why it could not start; the platform goes on.
        """
        if not self._demo:
            return
        context = Context(
            config=self.config,
            engine=self.engine,
            addresses=dict(self.addresses),
            api_url=f"http://{_reachable(self.addresses['api'])}",
            api_token=self._own_token,
        )
        # Not to be loaded without being asked for.
        demo = await import_module("fluxhybrid.demo").start(context)
        self._stack.push_async_callback(demo.stop)

    async def stop(self) -> None:
        """Stop everything, the last started first. Harmless when repeated."""
        await self._stack.aclose()

    async def _start(self) -> None:
        if self._demo:
            import_module("fluxhybrid.demo").check()
        # Ports first: whoever is in the way is named before anything else happens.
        api_socket = None if self._headless else self._listen("server", self.config.server)
        metrics_socket = self._listen("metrics", self.config.metrics)
        self._stack.push_async_callback(self._stop_engine)
        # It locks the data directory, and serves devices by the configuration last in force while
        # the rest starts.
        await self._start_engine()
        if api_socket is None:
            await self._start_operations(metrics_socket, [])
            if self.engine.generation() == 0:
                _log.warning("there is no configuration here yet: start once without --headless")
            return
        database = await self._open_database()
        services, self._own_token, http_metrics = await self._make_services(database)
        await self._load(services.configuration)
        await self._start_operations(metrics_socket, [http_metrics.text])
        await self._start_api(api_socket, services, http_metrics)
        # Last: whoever is shown a token has a server to use it with.
        self.first_token = await services.accounts.first_token()

    def _listen(self, section: str, settings: Any) -> socket.socket:
        listener = listen(section, settings.host, settings.port)
        self._stack.callback(listener.close)
        self.addresses["api" if section == "server" else section] = address_text(listener)
        return listener

    async def _start_engine(self) -> None:
        self.addresses.update(await asyncio.to_thread(self.engine.start))
        self._outbox.start()
        self._stack.push_async_callback(self._outbox.stop)

    async def _stop_engine(self) -> None:
        await asyncio.to_thread(self.engine.stop, ENGINE_STOP_TIMEOUT_MS)

    async def _start_operations(
        self, listener: socket.socket, parts: list[Callable[[], str]]
    ) -> None:
        every = [self.engine.metrics_text, *parts, self._webhook_metrics]
        operations = OperationsListener(lambda: metrics_page(every), self.engine.health)
        await operations.start(listener)
        self._stack.push_async_callback(operations.stop)

    async def _load(self, configuration: Configuration) -> None:
        try:
            await configuration.load()
        except Invalid as error:
            # Stored by an earlier version, perhaps, that was less strict. Without the API nobody
            # could mend it, so it is served all the same.
            for problem in error.problems:
                _log.error("stored configuration: %s: %s", problem.where, problem.message)
            _log.error("generation %s stays in force", self.engine.generation())

    async def _open_database(self) -> Database:
        from fluxhybrid.storage import Database

        settings = self.config.database
        database = Database(
            self.config.sqlalchemy_url(),
            min_connections=settings.min_connections,
            max_connections=settings.max_connections,
            acquire_timeout_s=settings.acquire_timeout.total_seconds(),
        )
        self._stack.push_async_callback(database.close)
        await database.prepare()
        return database

    async def _make_services(self, database: Database) -> tuple[Services, str, HttpMetrics]:
        from fluxhybrid.accounts.service import Accounts
        from fluxhybrid.alarms.service import Alarms
        from fluxhybrid.api.application import Services
        from fluxhybrid.commands.service import Commands
        from fluxhybrid.configuration.service import Configuration
        from fluxhybrid.devices.service import Devices, Products
        from fluxhybrid.mqtt.service import Messages, Principals
        from fluxhybrid.operations.metrics import HttpMetrics
        from fluxhybrid.plugins.service import Plugins
        from fluxhybrid.rules.service import Rules
        from fluxhybrid.telemetry.service import Telemetry
        from fluxhybrid.telemetry.stream import Watchers

        metrics = HttpMetrics(database.connections_in_use)
        site = self.config.site
        configuration = Configuration(
            database,
            self.engine,
            env={
                "site": site.name,
                "tenant": site.tenant,
                "timezone": site.timezone,
                "user": dict(site.env),
            },
            tenant_name=site.tenant,
        )
        accounts = Accounts(database)
        watchers = Watchers(
            self.engine,
            count_changed=metrics.stream_clients,
            dropped=metrics.stream_dropped,
        )
        self._stack.push_async_callback(watchers.close)
        services = Services(
            configuration=configuration,
            accounts=accounts,
            products=Products(configuration, self.engine),
            devices=Devices(configuration, self.engine),
            principals=Principals(configuration),
            messages=Messages(self.engine),
            rules=Rules(configuration, self._tester, self.engine),
            plugins=Plugins(self.engine),
            telemetry=Telemetry(configuration, self.engine),
            watchers=watchers,
            alarms=Alarms(self.engine),
            commands=Commands(configuration, self.engine),
            refusals=self.engine,
            report=lambda: self._report(configuration, watchers),
            health=self.engine.health,
        )
        return services, accounts.own_token(), metrics

    async def _start_api(
        self, listener: socket.socket, services: Services, metrics: HttpMetrics
    ) -> None:
        from fluxhybrid.api.application import create_app
        from fluxhybrid.api.server import HttpServer

        server = HttpServer(
            create_app(
                services,
                version=_version(),
                body_bytes_max=self.config.server.request_bytes_max,
                counter=metrics,
            )
        )
        await server.start(listener)
        self._stack.push_async_callback(server.stop)

    def _new_webhook_runner(self) -> WebhookRunner:
        self._webhooks = WebhookRunner(self.engine, self.config.webhook)
        return self._webhooks

    def _webhook_metrics(self) -> str:
        if self._webhooks is None:
            return ""
        return webhook_metrics_text(self._webhooks.outcomes, self._webhooks.circuits())

    def _report(self, configuration: Configuration, watchers: Watchers) -> dict[str, Any]:
        generations = configuration.generations()
        return {
            "version": _version(),
            "site": self.config.site.name,
            "started_at_ms": self._started_at_ms,
            "generations": {
                "stored": generations.stored,
                "in_force": generations.in_force,
            },
            "engine": self.engine.health(),
            "figures": self.engine.figures(),
            "process": {
                "resident_bytes": resident_bytes(),
                "disk_free_bytes": free_bytes(self.config.data_dir),
            },
            "addresses": dict(self.addresses),
            "webhooks": self._webhooks.circuits() if self._webhooks is not None else [],
            "stream_clients": watchers.count,
        }


def serve(config: Config, *, headless: bool = False, demo: bool = False) -> int:
    """Run the platform until SIGINT or SIGTERM; gives the process's exit code.

    The first signal stops it in order and in bounded time, the second at once.

    Args:
        config: the configuration.
        headless: devices only: no API, no page, no database.
        demo: with a simulated plant.

    Raises:
        FluxError: it could not start.
    """
    from fluxhybrid.engine.facade import set_up_engine_logs

    set_up_logs(config.logging)
    set_up_engine_logs(config.logging)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(config, headless=headless, demo=demo))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        # Not everywhere; asyncio's own loop does the same, a little slower.
        return None
    return uvloop.new_event_loop


async def _serve(config: Config, *, headless: bool, demo: bool) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _on_signal, number, stopping)
    try:
        return await _until(stopping, config, headless=headless, demo=demo)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _on_signal(number: int, stopping: asyncio.Event) -> None:
    if stopping.is_set():
        # What was acknowledged is on disk: nothing is lost by not waiting.
        os._exit(128 + number)
    stopping.set()
    asyncio.get_running_loop().call_later(STOP_TIMEOUT_S, _give_up)


def _give_up() -> None:
    _log.error("stopping took longer than %s s: leaving as it is", STOP_TIMEOUT_S)
    os._exit(1)


async def _until(stopping: asyncio.Event, config: Config, *, headless: bool, demo: bool) -> int:
    platform = _new_platform(config, headless=headless, demo=demo)
    starting = asyncio.ensure_future(platform.start())
    told = asyncio.ensure_future(stopping.wait())
    await asyncio.wait((starting, told), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        # Told to stop before it had started.
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        told.cancel()
        return _EXIT_INTERRUPTED
    if starting.exception() is not None:
        told.cancel()
    starting.result()
    try:
        _print_banner(platform)
        await platform.start_demo()
        await told
        _log.info("stopping")
    finally:
        await platform.stop()
    return 0


def _new_platform(config: Config, *, headless: bool, demo: bool) -> Platform:
    from fluxhybrid.engine.facade import Engine, RuleTester
    from fluxhybrid.engine.settings import engine_settings

    try:
        config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Unavailable(
            "data_dir.unusable",
            f"{config.data_dir} cannot be made: {error.strerror}",
            hint="choose another data_dir, or give this user the right to write there",
            pointer="/data_dir",
        ) from error
    engine = Engine(engine_settings(config))
    return Platform(config, engine, RuleTester(config.rules), headless=headless, demo=demo)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("fluxhybrid")
    except PackageNotFoundError:
        # Run from a checkout.
        return "0+unknown"


def _reachable(address: str) -> str:
    """An address to connect to, for one that is listened on everywhere."""
    host, _, port = address.rpartition(":")
    return f"{ {'0.0.0.0': '127.0.0.1', '[::]': '[::1]'}.get(host, host) }:{port}"  # noqa: S104


def _page_url(platform: Platform) -> str:
    """Where people look; the first time, with what signs them in.

    The token stands behind ``#``: browsers keep that part to themselves.
    """
    url = f"http://{_reachable(platform.addresses['api'])}/"
    return url if platform.first_token is None else f"{url}#token={platform.first_token}"


def _print_banner(platform: Platform) -> None:
    addresses = platform.addresses
    lines = [f"fluxhybrid {_version()}"]
    if "mqtt" in addresses:
        lines.append(f"  MQTT     {addresses['mqtt']}")
    if "devices" in addresses:
        lines.append(f"  Devices  http://{addresses['devices']}/device/v1/telemetry")
    lines += [
        f"  Gateway  {addresses[name]} ({name.removeprefix('gateway.')})"
        for name in sorted(addresses)
        if name.startswith("gateway.")
    ]
    if "api" in addresses:
        lines.append(f"  Page     {_page_url(platform)}")
        lines.append(f"  API      http://{addresses['api']}/api/v1")
        lines.append(f"  Docs     http://{addresses['api']}/docs")
    lines.append(f"  Metrics  http://{addresses['metrics']}/metrics")
    lines.append(f"  Data     {platform.config.data_dir.absolute()}")
    if platform.config.engine.durability == "none":
        lines.append("  Durability is off: a power cut loses messages that were acknowledged")
    if platform.first_token is not None:
        lines.append(f"  Token    {platform.first_token}")
        lines.append("           for the API and the page; shown this once: keep it")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
