"""HTTP: rules."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request

from fluxhybrid.accounts.routes import SignedIn
from fluxhybrid.configuration.paging import LIMIT_DEFAULT, Cursor, Limit
from fluxhybrid.configuration.parameters import PREFIX, Reference
from fluxhybrid.rules.model import (
    Reloaded,
    RuleIn,
    RuleList,
    RuleOut,
    RulePatch,
    RuleTest,
    RuleTested,
    RuleVersionList,
    RuleVersionOut,
)
from fluxhybrid.rules.service import VERSIONS_KEPT_MAX, Rules
from fluxhybrid.storage.records import Rule

__all__ = ["router"]

router = APIRouter(prefix=PREFIX, tags=["rules"])

_ActionType = Literal["command", "publish", "raise_alarm", "clear_alarm", "webhook"]
_VERSION_MAX = 2**31 - 1


def _rules(request: Request) -> Rules:
    rules: Rules = request.app.state.rules
    return rules


_Rules = Annotated[Rules, Depends(_rules)]
_RuleId = Annotated[Reference, Path(alias="rule")]


def _shown(rule: Rule) -> RuleOut:
    return RuleOut(
        id=rule.id,
        version=rule.version,
        name=rule.name,
        enabled=rule.enabled,
        trigger_script=rule.trigger_script,
        action_type=rule.action_type,
        sources=rule.sources,
        plugin_chain=rule.plugin_chain or [],
        actions=rule.actions,
        created_at_ms=rule.created_at_ms,
        updated_at_ms=rule.updated_at_ms,
    )


@router.get("/rules")
async def list_rules(
    rules: _Rules,
    session: SignedIn,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Annotated[Cursor | None, Query()] = None,
    enabled: Annotated[bool | None, Query(description="Only those that run, or do not.")] = None,
    action_type: Annotated[
        _ActionType | None, Query(description="Only those whose first action is of this type.")
    ] = None,
) -> RuleList:
    """List rules."""
    wanted = {"enabled": enabled, "action_type": action_type}
    where: dict[str, object] = {name: v for name, v in wanted.items() if v is not None}
    page = await rules.page(session.tenant_id, limit, cursor, where)
    return RuleList(items=[_shown(r) for r in page.items], next_cursor=page.next_cursor)


@router.post("/rules", status_code=201)
async def add_rule(rules: _Rules, session: SignedIn, wanted: RuleIn) -> RuleOut:
    """Add a rule."""
    return _shown(await rules.add(session.tenant_id, wanted))


@router.post("/rules:reload")
async def reload_rules(rules: _Rules, session: SignedIn) -> Reloaded:
    """Give the engine everything that is stored: rules, devices, products, accounts."""
    generations = await rules.reload()
    return Reloaded(stored_generation=generations.stored, generation_in_force=generations.in_force)


@router.post("/rules:test")
async def test_rule(rules: _Rules, session: SignedIn, wanted: RuleTest) -> RuleTested:
    """Try a rule on a message. Nothing is sent, published or raised."""
    return RuleTested(**await rules.test(wanted))


@router.get("/rules/{rule}")
async def get_rule(rules: _Rules, session: SignedIn, rule: _RuleId) -> RuleOut:
    """Show a rule."""
    return _shown(await rules.get(session.tenant_id, rule))


@router.patch("/rules/{rule}")
async def change_rule(rules: _Rules, session: SignedIn, rule: _RuleId, patch: RulePatch) -> RuleOut:
    """Change what the body names; the rest stays. The version grows by one."""
    return _shown(await rules.change(session.tenant_id, rule, patch))


@router.delete("/rules/{rule}", status_code=204)
async def remove_rule(rules: _Rules, session: SignedIn, rule: _RuleId) -> None:
    """Remove a rule and its versions."""
    await rules.remove(session.tenant_id, rule)


@router.get("/rules/{rule}/versions")
async def list_rule_versions(
    rules: _Rules,
    session: SignedIn,
    rule: _RuleId,
    before: Annotated[
        int | None, Query(ge=1, le=_VERSION_MAX, description="Older than this version only.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=VERSIONS_KEPT_MAX)] = VERSIONS_KEPT_MAX,
) -> RuleVersionList:
    """Show a rule as it was, newest first."""
    found = await rules.versions(session.tenant_id, rule, before, limit)
    return RuleVersionList(
        items=[
            RuleVersionOut(version=v.version, rule=v.document, created_at_ms=v.created_at_ms)
            for v in found
        ]
    )
