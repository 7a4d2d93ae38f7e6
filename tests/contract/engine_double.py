"""An engine in memory that keeps the promises of ``fluxhybrid.engine.ports``.

It checks documents as the real one does (shape, references, names), in Python, and lets a test
play the devices: what they report, what fires, what lies in the outbox.
"""

from __future__ import annotations

import asyncio
import copy
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from fluxhybrid.errors import Conflict, Invalid, NotFound, Problem, Unavailable

KINDS = ("tenants", "principals", "products", "devices", "rules")


class EventStreamDouble:
    def __init__(self, tenant: int, kinds: Sequence[str] | None) -> None:
        self.tenant = tenant
        self.kinds = kinds
        self.dropped = 0
        self.closed = False
        self._batches: asyncio.Queue[list[dict[str, Any]] | None] = asyncio.Queue()

    def put(self, batch: list[dict[str, Any]]) -> None:
        kept = [event for event in batch if self.kinds is None or event["kind"] in self.kinds]
        if kept:
            self._batches.put_nowait(kept)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._batches.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[list[dict[str, Any]]]:
        while (batch := await self._batches.get()) is not None:
            yield batch


class EngineDouble:
    def __init__(self) -> None:
        self.document: dict[str, Any] = {"generation": 0, **{kind: [] for kind in KINDS}}
        self.running = False
        self.installed: dict[str, dict[str, Any]] = {}
        self.refuse_deltas = False
        self.latest_values: dict[tuple[int, str], dict[str, Any]] = {}
        self.online: dict[str, int] = {}
        self.firing_records: list[dict[str, Any]] = []
        self.alarm_records: dict[str, dict[str, Any]] = {}
        self.command_records: dict[str, dict[str, Any]] = {}
        self.refusal_records: list[dict[str, Any]] = []
        self.published: list[tuple[int, str, bytes, int]] = []
        self.streams: list[EventStreamDouble] = []
        self.outbox: dict[str, dict[str, Any]] = {}
        self.taken: set[str] = set()
        self.completed: list[tuple[str, bool, str, int]] = []
        self.broken = False
        self._ready = asyncio.Event()

    # ---- life

    def start(self) -> dict[str, Any]:
        self.running = True
        return {"mqtt": "127.0.0.1:1"}

    def stop(self, timeout_ms: int) -> bool:
        self.running = False
        return True

    def health(self) -> dict[str, Any]:
        return {"status": "ok" if self.running else "stopped"}

    def figures(self) -> dict[str, Any]:
        return {"messages_in_total": 0, "lag_records": 0}

    def refusals(self, tenant: int, limit: int = 100) -> dict[str, Any]:
        return {"items": self.refusal_records[:limit], "unlisted": 3}

    def metrics_text(self) -> str:
        return "# TYPE flux_rules_active gauge\nflux_rules_active 0\n"

    def telemetry(
        self,
        tenant: int,
        device_id: str,
        from_ms: int,
        to_ms: int,
        *,
        names: Sequence[str] = (),
        step_ms: int | None = None,
        aggregations: Sequence[str] = (),
        fill: bool = False,
        descending: bool = False,
        limit: int = 10_000,
        after: str | None = None,
    ) -> dict[str, Any]:
        """Samples of one value, a second apart; of buckets, each sample is one."""
        begin = from_ms if after is None else int(after)
        times = list(range(begin, to_ms, 1_000))
        page, rest = times[:limit], times[limit:]
        values = max(1, len(aggregations))
        return {
            "series": [{"name": "t", "points": [[ms, *[1.5] * values] for ms in page]}],
            "next": str(rest[0]) if rest else None,
            "damaged_chunks": 0,
        }

    def telemetry_names(self, tenant: int, device_id: str) -> list[str]:
        return ["t"]

    # ---- plugins

    def plugins(self) -> list[dict[str, Any]]:
        return list(self.installed.values())

    def plugin(self, plugin_id: str) -> dict[str, Any]:
        if plugin_id not in self.installed:
            raise NotFound("plugin.unknown", f"there is no plugin {plugin_id!r}")
        return self.installed[plugin_id]

    def install_plugin(
        self,
        plugin_id: str,
        wasm: bytes,
        vectors: bytes | None = None,
        manifest: bytes | None = None,
    ) -> dict[str, Any]:
        if not wasm.startswith(b"\0asm"):
            raise Invalid("plugin.compile", "it is no WebAssembly")
        self.installed[plugin_id] = {
            "id": plugin_id,
            "health": "running",
            "problems": [],
            "functions": ["decode"],
            "title": None,
            "about": None,
            "version": None,
            "has_previous": plugin_id in self.installed,
        }
        return self.installed[plugin_id]

    def roll_back_plugin(self, plugin_id: str) -> dict[str, Any]:
        if not self.plugin(plugin_id)["has_previous"]:
            raise NotFound("plugin.no_previous", "there is no version before it")
        return self.installed[plugin_id]

    def remove_plugin(self, plugin_id: str) -> None:
        self.plugin(plugin_id)
        del self.installed[plugin_id]

    def reload_plugins(self) -> list[dict[str, Any]]:
        return self.plugins()

    # ---- configuration

    def generation(self) -> int:
        return int(self.document["generation"])

    def _order(self, document: Mapping[str, Any]) -> None:
        if document.get("base_generation", self.generation()) != self.generation():
            raise Conflict("config.conflict", "the change is built on another generation")
        if document["generation"] <= self.generation():
            raise Conflict("config.not_later", "the generation is not later")

    def check_configuration(self, document: Mapping[str, Any]) -> list[Problem]:
        self._order(document)
        candidate, prefix = self._candidate(document)
        return _problems(candidate, prefix)

    def apply(self, document: Mapping[str, Any]) -> int:
        if "base_generation" in document and self.refuse_deltas:
            raise Unavailable("engine.busy", "not now")
        self._order(document)
        candidate, prefix = self._candidate(document)
        problems = _problems(candidate, prefix)
        if problems:
            raise Invalid(problems[0].code, problems[0].message, problems=problems)
        self.document = candidate
        return self.generation()

    def _candidate(self, document: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """The document that would come of it, and the pointer of each entry by its id."""
        document = copy.deepcopy(dict(document))
        if "base_generation" not in document:
            pointers = {
                str(entry["id"]): f"/{kind}/{place}"
                for kind in KINDS
                for place, entry in enumerate(document.get(kind, []))
            }
            return {**{kind: [] for kind in KINDS}, **document}, pointers
        candidate = copy.deepcopy(self.document)
        candidate["generation"] = document["generation"]
        pointers = {}
        for kind, ids in document["delete"].items():
            candidate[kind] = [entry for entry in candidate[kind] if entry["id"] not in ids]
        for kind, entries in document["upsert"].items():
            for place, entry in enumerate(entries):
                rest = [known for known in candidate[kind] if known["id"] != entry["id"]]
                candidate[kind] = [*rest, entry]
                pointers[str(entry["id"])] = f"/upsert/{kind}/{place}"
        return candidate, pointers

    # ---- data

    def latest(self, tenant: int, device_id: str) -> dict[str, Any] | None:
        return self.latest_values.get((tenant, device_id))

    def status(self, tenant: int, device_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        return {
            key: {
                "status": "online" if key in self.online else "offline",
                "last_online": self.online.get(key),
            }
            for key in device_ids
        }

    def firings(
        self,
        tenant: int,
        rule_id: str | None = None,
        device_id: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        found = [
            record
            for record in self.firing_records
            if (rule_id is None or record["rule_id"] == rule_id)
            and (device_id is None or record["device_id"] == device_id)
        ]
        if before is not None:
            ids = [record["id"] for record in found]
            if before not in ids:
                raise Invalid("firing.cursor", "the cursor names no firing")
            found = found[ids.index(before) + 1 :]
        return found[:limit]

    def alarms(
        self,
        tenant: int,
        state: str | None = None,
        device_id: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        return [
            record
            for record in _behind(list(self.alarm_records.values()), before)
            if (state is None or record["state"] == state)
            and (device_id is None or record["device_id"] == device_id)
        ][:limit]

    def acknowledge_alarm(self, tenant: int, alarm_id: str, who: str) -> dict[str, Any]:
        record = self._alarm(alarm_id)
        if record["state"] == "cleared":
            raise Conflict("alarm.cleared", "the alarm is over")
        record.update(state="acknowledged", acknowledged_by=who)
        return record

    def clear_alarm(self, tenant: int, alarm_id: str, who: str) -> dict[str, Any]:
        record = self._alarm(alarm_id)
        record.update(state="cleared", cleared_by=who)
        return record

    def put_alarm(self, alarm_id: str, device_id: str) -> None:
        self.alarm_records[alarm_id] = {
            "id": alarm_id,
            "alarm": "overheat",
            "device_id": device_id,
            "severity": "major",
            "text": "",
            "state": "active",
            "raised": 1,
            "last_raised": 1,
            "count": 1,
            "acknowledged_by": None,
            "acknowledged": None,
            "cleared_by": None,
            "cleared": None,
            "firing_id": None,
        }

    def put_firing(self, firing_id: str, rule_id: str, device_id: str) -> None:
        self.firing_records.append(
            {
                "id": firing_id,
                "rule_id": rule_id,
                "rule_version": 1,
                "rule_name": "hot",
                "device_id": device_id,
                "topic": "plant/x",
                "ts": 1,
                "at": 2,
                "triggered": True,
                "values": {"temperature": 31.5},
                "actions": [],
            }
        )

    def _alarm(self, alarm_id: str) -> dict[str, Any]:
        if alarm_id not in self.alarm_records:
            raise NotFound("alarm.not_found", f"there is no alarm {alarm_id!r}")
        return self.alarm_records[alarm_id]

    def commands(
        self,
        tenant: int,
        device_id: str | None = None,
        status: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        return [
            record
            for record in _behind(list(reversed(self.command_records.values())), before)
            if (status is None or record["status"] == status)
            and (device_id is None or record["device_id"] == device_id)
        ][:limit]

    def command(self, tenant: int, command_id: str) -> dict[str, Any] | None:
        return self.command_records.get(command_id)

    def send_command(
        self, tenant: int, device_id: str, command: str, params: Any, max_age_ms: int
    ) -> str:
        if self.broken:
            raise RuntimeError("boom")
        command_id = str(uuid.uuid4())
        self.command_records[command_id] = {
            "id": command_id,
            "device_id": device_id,
            "command": command,
            "params": params,
            "status": "pending",
            "max_age_ms": max_age_ms,
            "requested": 1,
            "sent": None,
            "finished": None,
            "result": None,
            "firing_id": None,
        }
        return command_id

    def publish(self, tenant: int, topic: str, payload: bytes, qos: int) -> None:
        self.published.append((tenant, topic, payload, qos))

    def events(self, tenant: int, kinds: Sequence[str] | None = None) -> EventStreamDouble:
        stream = EventStreamDouble(tenant, kinds)
        self.streams.append(stream)
        return stream

    # ---- outbox

    def put_outbox(self, entry: dict[str, Any]) -> None:
        self.outbox[entry["id"]] = entry
        self._ready.set()

    async def outbox_ready(self) -> None:
        await self._ready.wait()
        self._ready.clear()

    def take_outbox(self, limit: int) -> list[dict[str, Any]]:
        free = [entry for key, entry in self.outbox.items() if key not in self.taken][:limit]
        self.taken |= {entry["id"] for entry in free}
        return free

    def complete_outbox(self, entry_id: str, ok: bool, detail: str, attempts: int) -> None:
        self.completed.append((entry_id, ok, detail, attempts))
        self.taken.discard(entry_id)
        self.outbox.pop(entry_id, None)

    def give_back_outbox(self, entry_id: str) -> None:
        self.taken.discard(entry_id)
        self._ready.set()


def _behind(records: list[dict[str, Any]], before: str | None) -> list[dict[str, Any]]:
    if before is None:
        return records
    ids = [record["id"] for record in records]
    return records[ids.index(before) + 1 :] if before in ids else []


class TesterDouble:
    """Knows one script: ``temperature > <number>``."""

    __test__ = False

    def test(self, source: str, message: dict[str, Any], env: dict[str, Any]) -> dict[str, Any]:
        problem = _script_problem(source)
        if problem is not None:
            raise Invalid(problem.code, problem.message, line=problem.line, column=problem.column)
        name, _, limit = source.partition(" > ")
        value = message["values"].get(name)
        triggered = bool(limit) and isinstance(value, int | float) and value > float(limit)
        return {
            "triggered": triggered,
            "effects": [],
            "logs": [],
            "error": None,
            "missing_value": value is None,
            "operations": 1,
        }


def _script_problem(source: str) -> Problem | None:
    """What a compiler would say first: a bracket without its partner."""
    depth = 0
    for line_number, line in enumerate(source.split("\n"), 1):
        for column, letter in enumerate(line, 1):
            depth += {"(": 1, ")": -1}.get(letter, 0)
            if depth < 0:
                message = "there is a ) without its ("
                return Problem("rule.compile", message, line=line_number, column=column)
    if depth:
        return Problem("rule.compile", "there is a ( without its )", line=1, column=1)
    return None


def _problems(document: Mapping[str, Any], pointers: Mapping[str, str]) -> list[Problem]:
    found: list[Problem] = []

    def wrong(entry: Mapping[str, Any], member: str, code: str, message: str) -> None:
        found.append(Problem(code, message, pointer=pointers.get(entry["id"], "") + member))

    products = {entry["id"] for entry in document["products"]}
    devices = {entry["id"] for entry in document["devices"]}
    names: set[str] = set()
    for entry in [*document["devices"], *document["principals"]]:
        name = entry.get("key") or entry.get("username")
        if name in names:
            wrong(entry, "/key", "config.duplicate", f"the name {name!r} stands twice")
        names.add(name)
    for device in document["devices"]:
        if device["product"] not in products:
            wrong(device, "/product", "config.reference", "there is no such product")
    for product in document["products"]:
        problem = _script_problem(product["transform"] or "")
        if problem is not None:
            wrong(product, "/transform", problem.code, problem.message)
    for rule in document["rules"]:
        problem = _script_problem(rule["trigger_script"])
        if problem is not None:
            pointer = pointers.get(rule["id"], "") + "/trigger_script"
            found.append(
                Problem(
                    problem.code,
                    problem.message,
                    pointer=pointer,
                    line=problem.line,
                    column=problem.column,
                )
            )
        for place, product_id in enumerate(rule["sources"]["products"]):
            if product_id not in products:
                member = f"/sources/products/{place}"
                wrong(rule, member, "config.reference", "there is no such product")
        for place, device_id in enumerate(rule["sources"]["devices"]):
            if device_id not in devices:
                member = f"/sources/devices/{place}"
                wrong(rule, member, "config.reference", "there is no such device")
    return found
