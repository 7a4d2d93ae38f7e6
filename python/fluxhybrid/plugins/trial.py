"""Trying a built plugin in the sandbox with its vectors.

Owns turning a vector into a call, and what came of it into an outcome. Must never build.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fluxhybrid.errors import FluxError
from fluxhybrid.plugins import wire
from fluxhybrid.plugins.outcome import Outcome, differences
from fluxhybrid.plugins.ports import PluginHost
from fluxhybrid.plugins.vectors import Told, Vector

__all__ = ["Call", "Result", "call", "calls_of", "try_vectors"]


@dataclass(frozen=True, slots=True)
class Call:
    """One call, ready to be made."""

    function: str
    input: bytes
    context: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of trying a vector."""

    vector: Vector
    differences: list[str]

    @property
    def ok(self) -> bool:
        """Whether all was as expected."""
        return not self.differences


def try_vectors(host: PluginHost, plugin_id: str, vectors: Sequence[Vector]) -> Iterator[Result]:
    """Try each vector in turn, with the state earlier ones left where it asks for it."""
    states: dict[str, bytes] = {}
    for vector in vectors:
        try:
            outcome = call(host, plugin_id, made(vector, states))
        except FluxError as error:
            outcome = Outcome(error=error.code, reason=error.message)
        yield Result(vector, differences(vector.expect, outcome))
        left = next(
            (i.state for i in reversed(outcome.items) if i.state is not None), outcome.state
        )
        if left is not None:
            states[vector.name] = left


def calls_of(host: PluginHost, plugin_id: str, vectors: Sequence[Vector]) -> list[Call]:
    """The calls of vectors, with the states earlier ones leave."""
    states: dict[str, bytes] = {}
    calls = []
    for vector in vectors:
        calls.append(made(vector, states))
        try:
            outcome = call(host, plugin_id, calls[-1])
        except FluxError:
            continue
        if outcome.state is not None:
            states[vector.name] = outcome.state
    return calls


def made(vector: Vector, states: Mapping[str, bytes]) -> Call:
    """A vector as a call. A state nobody left is an empty one: the vector will say so."""
    told, given = vector.context, vector.input
    context = _context(told)
    if told.state_of is not None:
        context["state"] = states.get(told.state_of, b"")
    match vector.function:
        case "encode":
            content = wire.command(given.command or {})
        case "on_msg" | "on_action":
            content = wire.message(given.message or {})
        case "decode_batch":
            content = wire.batch(item.raw for item in given.batch or [])
        case _:
            content = given.raw
    return Call(vector.function, content, context)


def _context(told: Told) -> dict[str, Any]:
    content = {
        "source": told.source,
        "topic": told.topic,
        "device": told.device,
        "received_ns": told.received_ns,
        "settings": told.settings,
        "request": told.request,
        "state": told.state,
        "subject": told.subject,
    }
    return {name: value for name, value in content.items() if value not in (None, "", 0)}


def call(host: PluginHost, plugin_id: str, wanted: Call) -> Outcome:
    """Make a call.

    Raises:
        FluxError: it failed in a way that is not the plugin's own.
    """
    result = host.call_plugin(plugin_id, wanted.function, wanted.input, wanted.context)
    return _outcome(result) if isinstance(result, Mapping) else Outcome()


def _outcome(result: Mapping[str, Any]) -> Outcome:
    error = result.get("error")
    plain = Outcome(
        messages=list(result.get("messages") or ()),
        frames=[_bytes(frame) for frame in result.get("frames") or ()],
        effects=[_effect(effect) for effect in result.get("effects") or ()],
        state=None if result.get("state") is None else _bytes(result["state"]),
        error=error["code"] if error else None,
        reason=error["text"] if error else "",
    )
    items = result.get("items")
    return plain if items is None else replace(plain, items=[_outcome(item) for item in items])


def _effect(effect: Mapping[str, Any]) -> dict[str, Any]:
    """An action as rules have it, in the words of the ABI."""
    fields = {name: value for name, value in effect.items() if name != "type"}
    return {"kind": effect.get("type"), **fields}


def _bytes(content: bytes | str) -> bytes:
    return base64.b64decode(content) if isinstance(content, str) else bytes(content)
