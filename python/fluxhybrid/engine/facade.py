"""The engine, as Python people use it.

Owns what makes the extension module pleasant: Python's own types in and out, ``with``, ``await``.
Must never decide anything, and never keep what the engine keeps.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

import orjson

from fluxhybrid import _native
from fluxhybrid.engine.bus import EventBus, Message, MessageBatch, Subscription
from fluxhybrid.engine.events import EventBatch, EventStream
from fluxhybrid.engine.plugins import PluginManager
from fluxhybrid.engine.scripts import Evaluation, RuleTester, ScriptEngine
from fluxhybrid.engine.wake import Wake
from fluxhybrid.errors import Invalid, Problem

if TYPE_CHECKING:
    from fluxhybrid.config import LoggingConfig
    from fluxhybrid.engine.ports import EngineDocument, Record

__all__ = [
    "Engine",
    "Evaluation",
    "EventBatch",
    "EventBus",
    "EventStream",
    "Message",
    "MessageBatch",
    "PluginManager",
    "RuleTester",
    "ScriptEngine",
    "Subscription",
    "set_up_engine_logs",
]

STOP_TIMEOUT_MS: Final = 5_000
COMMAND_MAX_AGE_MS: Final = 30_000
DEFAULT_TENANT: Final = 1


def set_up_engine_logs(config: LoggingConfig) -> None:
    """Write the engine's log as ``[logging]`` says, to standard error; the first call counts."""
    _native.init_logging(config.level, config.format)


class Engine:
    """The data plane: MQTT server, log, rules and actions, in this process.

    Settings are given by name, or as the whole mapping the platform makes of its configuration. In
    a ``with`` block it runs:

        >>> from fluxhybrid import Engine
        >>> with Engine(data_dir, mqtt_port=0, allow_anonymous=True) as engine:
        ...     document = {"generation": 1, "tenants": [{"id": 1, "name": "default"}]}
        ...     engine.publish(1, "plant/hello", b"hello")
        ...     engine.apply(document), engine.health()["status"], engine.firings(1)
        (1, 'ok', [])

    A configuration given before the start is there when devices connect; without one, the one
    last in force is read from ``data_dir``. Methods raise the exceptions of ``fluxhybrid.errors``.

    Args:
        settings: everything, as ``fluxhybrid.engine.settings`` makes it; or
        data_dir: where log, snapshots and configuration are kept.
        mqtt_host: address to listen on for devices.
        mqtt_port: TCP port to listen on for devices; 0 takes a free one, ``None`` opens none.
        allow_anonymous: let clients in that give no name.
        durability: ``"sync"`` acknowledges what is on disk, ``"none"`` at once.
    """

    def __init__(
        self,
        settings: Mapping[str, Any] | str | os.PathLike[str] | None = None,
        *,
        data_dir: str | os.PathLike[str] | None = None,
        mqtt_host: str = "127.0.0.1",
        mqtt_port: int | None = None,
        allow_anonymous: bool = False,
        durability: str = "sync",
    ) -> None:
        if isinstance(settings, str | os.PathLike):
            settings, data_dir = None, settings
        if settings is None:
            if data_dir is None:
                raise TypeError("Engine needs a data_dir")
            settings = {
                "data_dir": os.fspath(data_dir),
                "mqtt": None
                if mqtt_port is None
                else {"host": mqtt_host, "port": mqtt_port, "allow_anonymous": allow_anonymous},
                "engine": {"durability": durability},
            }
        self._native: Final = _native.Engine(_json(settings, "engine.settings"))
        self._outbox = Wake(self._native.outbox_fileno, self._native.outbox_clear)
        self.addresses: Final[dict[str, str]] = {}
        """Where it listens: ``mqtt``; ``host:port`` each."""

    # ---- life

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Record:
        """Open log and listeners; gives the addresses bound. Harmless when it runs.

        Raises:
            FluxError: such as a port in use or a damaged log; nothing runs then.
        """
        self.addresses.clear()
        self.addresses.update(self._native.start())
        return dict(self.addresses)

    def stop(self, timeout_ms: int = STOP_TIMEOUT_MS) -> bool:
        """Stop, within the time given; ``False`` if something was left to recovery.

        Harmless when repeated. What was not stopped is stopped when the interpreter ends.
        """
        self._outbox.leave()
        return self._native.stop(timeout_ms)

    def health(self) -> Record:
        """How it is: ``status`` is ``ok``, ``failing`` or ``stopped``; beside it, why."""
        return self._native.health()

    def metrics_text(self) -> str:
        """The metrics in the Prometheus text format."""
        return self._native.metrics_text()

    # ---- configuration

    def generation(self) -> int:
        """The number of the configuration in force; 0 before the first."""
        return self._native.generation()

    def check_configuration(self, document: EngineDocument) -> list[Problem]:
        """Everything that is wrong with a document or a change; changes nothing."""
        return self._native.check(_json(document, "engine.document"))

    def apply(self, document: EngineDocument) -> int:
        """Put a document or a change in force, whole or not at all; gives its generation.

        Raises:
            Invalid: with every problem.
            Conflict: it is built on another generation, or does not come after the present one.
        """
        return self._native.apply(_json(document, "engine.document"))

    # ---- data

    def latest(self, tenant: int, device_id: str) -> Record | None:
        """The last values of a device; ``None`` before it has sent any.

        Raises:
            NotFound: there is no such device.
        """
        return self._native.latest(tenant, device_id)

    def status(self, tenant: int, device_ids: Sequence[str]) -> dict[str, Record]:
        """By device: whether it is connected, and when it last was."""
        return self._native.status(tenant, list(device_ids))

    def firings(
        self,
        tenant: int,
        rule_id: str | None = None,
        device_id: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[Record]:
        """Firings, newest first, from behind the one with the id ``before`` on."""
        return self._native.firings(tenant, rule_id, device_id, before, limit)

    def alarms(
        self,
        tenant: int,
        state: str | None = None,
        device_id: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[Record]:
        """Alarms, newest first, from behind the one with the id ``before`` on."""
        return self._native.alarms(tenant, state, device_id, before, limit)

    def acknowledge_alarm(self, tenant: int, alarm_id: str, who: str) -> Record:
        """Somebody has seen it.

        Raises:
            NotFound: there is no such alarm.
            Conflict: it is cleared already.
        """
        return self._native.acknowledge_alarm(tenant, alarm_id, who)

    def clear_alarm(self, tenant: int, alarm_id: str, who: str) -> Record:
        """It is over.

        Raises:
            NotFound: there is no such alarm.
        """
        return self._native.clear_alarm(tenant, alarm_id, who)

    def commands(
        self,
        tenant: int,
        device_id: str | None = None,
        status: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[Record]:
        """Commands, newest first, from behind the one with the id ``before`` on."""
        return self._native.commands(tenant, device_id, status, before, limit)

    def command(self, tenant: int, command_id: str) -> Record | None:
        """One command with its status and reply."""
        return self._native.command(tenant, command_id)

    def send_command(
        self,
        tenant: int,
        device_id: str,
        command: str,
        params: Any = None,
        max_age_ms: int = COMMAND_MAX_AGE_MS,
    ) -> str:
        """Queue a command; gives its id. It is on disk then.

        Raises:
            NotFound: there is no such device.
        """
        return self._native.send_command(
            tenant, device_id, command, {} if params is None else params, max_age_ms
        )

    def publish(self, tenant: int, topic: str, payload: bytes | str, qos: int = 0) -> None:
        """Publish as if a client had; with ``qos`` 1 it is on disk when this returns."""
        self._native.publish(tenant, topic, payload, qos)

    def events(
        self, tenant: int = DEFAULT_TENANT, kinds: Sequence[str] | None = None
    ) -> EventStream:
        """A tenant's live events of these kinds, or of all, from now on.

        Kinds are ``telemetry``, ``firing``, ``alarm``, ``command``, ``device_status``,
        ``rule_log`` and ``refused``.
        """
        return EventStream(self._native.events(tenant, None if kinds is None else list(kinds)))

    # ---- plugins

    def plugins(self) -> list[Record]:
        """Every plugin with its health, calls, pool and what is wrong with it."""
        return self._native.plugins()

    def plugin(self, plugin_id: str) -> Record:
        """One plugin.

        Raises:
            NotFound: there is none of that id.
        """
        return self._native.plugin(plugin_id)

    def install_plugin(
        self,
        plugin_id: str,
        wasm: bytes,
        vectors: bytes | None = None,
        manifest: bytes | None = None,
    ) -> Record:
        """Put a plugin in force, in place of what runs under that id.

        Raises:
            Invalid: it is no plugin, or its vectors fail; nothing has changed then.
        """
        return self._native.install_plugin(plugin_id, wasm, vectors, manifest)

    def roll_back_plugin(self, plugin_id: str) -> Record:
        """Put the version before the present one in force again. Twice is there and back.

        Raises:
            NotFound: there is none.
        """
        return self._native.roll_back_plugin(plugin_id)

    def remove_plugin(self, plugin_id: str) -> None:
        """Remove a plugin that was installed.

        Raises:
            NotFound: there is none of that id.
        """
        self._native.remove_plugin(plugin_id)

    def reload_plugins(self) -> list[Record]:
        """Look at the plugins' directory now; the status of each plugin that was looked at."""
        return self._native.reload_plugins()

    # ---- outbox

    async def outbox_ready(self) -> None:
        """Wait until there may be something in the outbox."""
        await self._outbox.wait()

    def take_outbox(self, limit: int) -> list[Record]:
        """Up to ``limit`` actions to run here; each is given out once until completed."""
        return self._native.take_outbox(limit)

    def complete_outbox(self, entry_id: str, ok: bool, detail: str, attempts: int) -> None:
        """An action was done or is given up, after this many attempts."""
        self._native.complete_outbox(entry_id, ok, detail, attempts)

    def give_back_outbox(self, entry_id: str) -> None:
        """An action that was taken is still to be done: it will be given out again."""
        self._native.give_back_outbox(entry_id)


def _json(given: Mapping[str, Any], code: str) -> str:
    try:
        return orjson.dumps(given, default=_mapping).decode()
    except orjson.JSONEncodeError as error:
        raise Invalid(code, f"this cannot be written as JSON: {error}") from None


def _mapping(given: object) -> object:
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, Iterable):
        return list(given)
    if isinstance(given, os.PathLike):
        return os.fspath(given)
    raise TypeError
