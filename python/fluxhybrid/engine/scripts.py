"""Rules, for Python programs of their own and for trying them out.

Owns the shapes their results take. Must never carry out what a rule asks for.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

from fluxhybrid import _native
from fluxhybrid._native import Evaluation
from fluxhybrid.config import RulesConfig
from fluxhybrid.engine.settings import rule_limits

__all__ = ["Evaluation", "RuleTester", "ScriptEngine"]

_RULE: Final = "rule"


class ScriptEngine(_native.ScriptEngine):
    """Compiles rules and evaluates them on messages; nothing is carried out.

        >>> from fluxhybrid import ScriptEngine
        >>> engine = ScriptEngine(env={"site": "plant-7"})
        >>> engine.compile_script("hot", 'log_info(env.site); temperature > 30')
        >>> evaluation = engine.eval_message("hot", {"values": {"temperature": 31.5}})
        >>> evaluation.triggered, evaluation.logs
        (True, [{'level': 'info', 'text': 'plant-7'}])

    Args:
        env: constants of the site: ``site``, ``tenant``, ``timezone``, ``user``.
        limits: what a call may take, by the names of ``[rules]``.
    """


class RuleTester:
    """Tries a rule on a message, without a device and without effects.

    Args:
        limits: what one call may take.
    """

    def __init__(self, limits: RulesConfig) -> None:
        self._limits = rule_limits(limits)

    def test(
        self, source: str, message: Mapping[str, Any], env: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What came of it: triggered, effects, logs, error, missing_value, operations.

        Raises:
            Invalid: ``rule.compile``, with the line and column.
        """
        # One for each try: nothing of it lives on.
        engine = ScriptEngine(dict(env), limits=self._limits)
        engine.compile_script(_RULE, source)
        outcome = engine.eval_message(_RULE, dict(message))
        return {
            "triggered": outcome.triggered,
            "effects": [_as_json(effect) for effect in outcome.effects],
            "logs": outcome.logs,
            "error": outcome.error,
            "missing_value": outcome.missing_value,
            "operations": outcome.operations,
        }


def _as_json(effect: dict[str, Any]) -> dict[str, Any]:
    payload = effect.get("payload")
    if isinstance(payload, bytes):
        rest = {name: value for name, value in effect.items() if name != "payload"}
        return {**rest, "payload_base64": base64.b64encode(payload).decode()}
    return effect
