"""What can be done with rules."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from fluxhybrid.actions import AnyAction
from fluxhybrid.configuration.document import rule_entry
from fluxhybrid.configuration.ids import new_id, now_ms
from fluxhybrid.configuration.paging import Page, read_page
from fluxhybrid.configuration.plugins import Plugins, plugins_are_there
from fluxhybrid.configuration.references import find
from fluxhybrid.configuration.service import Change, Configuration, Generations
from fluxhybrid.rules.model import RuleIn, RulePatch, RuleTest, Sources
from fluxhybrid.rules.ports import Tester
from fluxhybrid.storage.records import Rule, RuleVersion

__all__ = ["VERSIONS_KEPT_MAX", "Rules"]

VERSIONS_KEPT_MAX: Final = 100
"""Versions kept of one rule, the newest."""
TESTS_MAX: Final = 2
"""Rules tried at the same time; each may take a processor for its whole deadline."""


class Rules:
    """Rules of a tenant.

    Args:
        configuration: the way a change is made.
        tester: what tries a rule out.
        plugins: which plugins there are.
    """

    def __init__(self, configuration: Configuration, tester: Tester, plugins: Plugins) -> None:
        self._configuration = configuration
        self._tester = tester
        self._plugins = plugins
        self._tests = asyncio.Semaphore(TESTS_MAX)

    async def add(self, tenant_id: int, wanted: RuleIn) -> Rule:
        """Add a rule.

        Raises:
            Invalid: its script does not compile, or the like.
        """
        now = now_ms()
        rule = Rule(
            id=new_id(),
            tenant_id=tenant_id,
            version=1,
            name=wanted.name,
            enabled=wanted.enabled,
            trigger_script=wanted.trigger_script,
            action_type=wanted.actions[0].type if wanted.actions else None,
            sources=_sources(wanted.sources),
            actions=_actions(wanted.actions),
            created_at_ms=now,
            updated_at_ms=now,
            plugin_chain=[use.model_dump() for use in wanted.plugin_chain],
        )
        self._plugins_are_there(rule)
        async with self._configuration.change() as change:
            await change.store.rules.insert(rule)
            await _keep(change, rule)
        return rule

    async def page(
        self, tenant_id: int, limit: int, cursor: str | None, where: dict[str, object]
    ) -> Page[Rule]:
        """A page of the tenant's rules.

        Args:
            tenant_id: whose.
            limit: length of the page.
            cursor: where to go on.
            where: ``enabled`` and ``action_type``, as far as they are to be the same.
        """
        async with self._configuration.read() as transaction:
            return await read_page(
                transaction.rules, tenant_id, limit=limit, cursor=cursor, where=where
            )

    async def get(self, tenant_id: int, reference: str) -> Rule:
        """The rule with this id.

        Raises:
            NotFound: there is none.
        """
        async with self._configuration.read() as transaction:
            return await find(transaction.rules, "rule", tenant_id, reference)

    async def versions(
        self, tenant_id: int, reference: str, before: int | None, limit: int
    ) -> list[RuleVersion]:
        """A rule as it was, newest first.

        Raises:
            NotFound: there is no such rule.
        """
        async with self._configuration.read() as transaction:
            rule = await find(transaction.rules, "rule", tenant_id, reference)
            return await transaction.rule_versions.of(
                tenant_id, rule.id, before=before, limit=limit
            )

    async def change(self, tenant_id: int, reference: str, patch: RulePatch) -> Rule:
        """Change what the patch names.

        Raises:
            NotFound: there is no such rule.
            Invalid: what comes of it does not compile, or the like.
        """
        async with self._configuration.change() as change:
            before = await find(change.store.rules, "rule", tenant_id, reference)
            changed: dict[str, Any] = {n: getattr(patch, n) for n in patch.model_fields_set}
            if "sources" in changed:
                changed["sources"] = _sources(patch.sources)
            if "actions" in changed:
                changed["actions"] = _actions(patch.actions)
                changed["action_type"] = patch.actions[0].type if patch.actions else None
            if "plugin_chain" in changed:
                changed["plugin_chain"] = [use.model_dump() for use in patch.plugin_chain]
            rule = replace(before, **changed, version=before.version + 1, updated_at_ms=now_ms())
            self._plugins_are_there(rule)
            await change.store.rules.update(rule)
            await _keep(change, rule)
        return rule

    async def remove(self, tenant_id: int, reference: str) -> None:
        """Remove a rule and its versions.

        Raises:
            NotFound: there is no such rule.
        """
        async with self._configuration.change() as change:
            rule = await find(change.store.rules, "rule", tenant_id, reference)
            await change.store.rules.delete(tenant_id, rule.id)
            change.delete("rules", rule.id)

    def _plugins_are_there(self, rule: Rule) -> None:
        chain = enumerate(rule.plugin_chain or [])
        named = {f"/plugin_chain/{index}/plugin": use["plugin"] for index, use in chain}
        plugins_are_there(self._plugins, named)

    async def reload(self) -> Generations:
        """Give the engine everything that is stored.

        Raises:
            Invalid: what is stored does not compile; the engine keeps what it had.
        """
        return await self._configuration.load()

    async def test(self, wanted: RuleTest) -> dict[str, Any]:
        """Try a rule on a message, without effects.

        Raises:
            Invalid: it does not compile.
        """
        message = wanted.message.model_dump()
        if message["ts"] is None:
            message["ts"] = now_ms()
        async with self._tests:
            return await asyncio.to_thread(
                self._tester.test, wanted.trigger_script, message, self._configuration.env
            )


def _sources(sources: Sources) -> dict[str, list[str]]:
    return {
        "topics": list(sources.topics),
        "products": [str(product_id) for product_id in sources.products],
        "devices": [str(device_id) for device_id in sources.devices],
    }


def _actions(actions: Sequence[AnyAction]) -> list[dict[str, Any]]:
    return [action.model_dump() for action in actions]


async def _keep(change: Change, rule: Rule) -> None:
    entry = rule_entry(rule)
    version = RuleVersion(
        tenant_id=rule.tenant_id,
        rule_id=rule.id,
        version=rule.version,
        document=entry,
        created_at_ms=rule.updated_at_ms,
    )
    await change.store.rule_versions.insert(version, keep=VERSIONS_KEPT_MAX)
    change.upsert("rules", entry)
