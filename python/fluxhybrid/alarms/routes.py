"""HTTP: alarms."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from fluxhybrid.accounts.routes import SignedIn
from fluxhybrid.alarms.model import Alarm, AlarmList, AlarmState
from fluxhybrid.alarms.service import Alarms
from fluxhybrid.configuration.paging import LIMIT_DEFAULT, EntryCursor, Limit
from fluxhybrid.configuration.parameters import PREFIX
from fluxhybrid.engine.notation import Key

__all__ = ["router"]

router = APIRouter(prefix=f"{PREFIX}/alarms", tags=["alarms"])


def _alarms(request: Request) -> Alarms:
    alarms: Alarms = request.app.state.alarms
    return alarms


_Alarms = Annotated[Alarms, Depends(_alarms)]


@router.get("")
async def list_alarms(
    alarms: _Alarms,
    session: SignedIn,
    state: Annotated[AlarmState | None, Query(description="In this state only.")] = None,
    device: Annotated[Key | None, Query(description="Of the device with this key only.")] = None,
    cursor: Annotated[EntryCursor | None, Query()] = None,
    limit: Limit = LIMIT_DEFAULT,
) -> AlarmList:
    """List alarms, newest first: all that are active, and the last that ended."""
    items, following = await alarms.page(session.tenant_id, state, device, cursor, limit)
    return AlarmList(items=[Alarm(**item) for item in items], next_cursor=following)


@router.post("/{alarm_id}/acknowledge")
async def acknowledge_alarm(alarms: _Alarms, session: SignedIn, alarm_id: UUID) -> Alarm:
    """Note that somebody has seen it."""
    return Alarm(**await alarms.acknowledge(session.tenant_id, alarm_id, session.token_name))


@router.post("/{alarm_id}/clear")
async def clear_alarm(alarms: _Alarms, session: SignedIn, alarm_id: UUID) -> Alarm:
    """Note that it is over."""
    return Alarm(**await alarms.clear(session.tenant_id, alarm_id, session.token_name))
