"""HTTP: last values and firings; WebSocket: the live stream."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, WebSocket
from starlette.responses import StreamingResponse
from starlette.websockets import WebSocketDisconnect

from fluxhybrid.accounts.routes import SignedIn, address_of
from fluxhybrid.configuration.paging import LIMIT_DEFAULT, Cursor, EntryCursor, Limit
from fluxhybrid.configuration.parameters import PREFIX, Reference
from fluxhybrid.engine.notation import Key
from fluxhybrid.telemetry.history import LIMIT_DEFAULT as POINTS_DEFAULT
from fluxhybrid.telemetry.history import LIMIT_MAX as POINTS_MAX
from fluxhybrid.telemetry.history import Question
from fluxhybrid.telemetry.model import (
    Aggregation,
    EventKind,
    Firing,
    FiringList,
    HistoryOut,
    Latest,
    LatestList,
)
from fluxhybrid.telemetry.service import Telemetry
from fluxhybrid.telemetry.stream import Watcher, Watchers

__all__ = ["SUBPROTOCOL", "router"]

router = APIRouter(prefix=PREFIX, tags=["telemetry"])

SUBPROTOCOL: Final = "fluxhybrid.v1"
_BEARER: Final = "bearer."
_DEVICES_MAX: Final = 100
_POLICY_VIOLATION: Final = 1008


def _telemetry(request: Request) -> Telemetry:
    telemetry: Telemetry = request.app.state.telemetry
    return telemetry


_Telemetry = Annotated[Telemetry, Depends(_telemetry)]


@router.get("/devices/{device}/latest")
async def get_latest(telemetry: _Telemetry, session: SignedIn, device: Reference) -> Latest:
    """Show a device's last values."""
    return Latest(**await telemetry.latest(session.tenant_id, device))


@router.get(
    "/devices/{device}/telemetry",
    response_model=HistoryOut,
    responses={200: {"content": {"text/csv": {}}, "description": "A page, or all of it as CSV."}},
)
async def get_telemetry(
    telemetry: _Telemetry,
    session: SignedIn,
    request: Request,
    device: Reference,
    from_: Annotated[
        str | None,
        Query(
            alias="from",
            max_length=40,
            description="Milliseconds since 1970, or RFC 3339; an hour before `to` if left out.",
        ),
    ] = None,
    to: Annotated[
        str | None, Query(max_length=40, description="Up to here, exclusive; now if left out.")
    ] = None,
    step: Annotated[
        str | None,
        Query(max_length=20, description="Length of a bucket: milliseconds, or such as `5m`."),
    ] = None,
    agg: Annotated[
        list[Aggregation] | None,
        Query(max_length=7, description="What is told of each bucket; `avg` if left out."),
    ] = None,
    name: Annotated[
        list[str] | None, Query(max_length=100, description="Values of these names only.")
    ] = None,
    fill: Annotated[bool, Query(description="Tell of empty buckets too.")] = False,
    order: Annotated[Literal["asc", "desc"], Query(description="Of samples.")] = "asc",
    limit: Annotated[int, Query(ge=1, le=POINTS_MAX)] = POINTS_DEFAULT,
    cursor: Annotated[EntryCursor | None, Query()] = None,
) -> HistoryOut | StreamingResponse:
    """Show what a device's values were: samples, or buckets of them.

    With `Accept: text/csv` all of it comes as CSV, whatever the limit.
    """
    found = await telemetry.device(session.tenant_id, device)
    question = Question.of(
        from_text=from_,
        to_text=to,
        step_text=step,
        agg=list(agg or ()),
        names=list(name or ()),
        fill=fill,
        descending=order == "desc",
        limit=limit,
        after=cursor,
    )
    if "text/csv" in request.headers.get("accept", ""):
        headers = {"Content-Disposition": f'attachment; filename="{found.id}.csv"'}
        return StreamingResponse(
            telemetry.export(found, question), media_type="text/csv", headers=headers
        )
    return HistoryOut(**await telemetry.history(found, question))


@router.get("/latest")
async def list_latest(
    telemetry: _Telemetry,
    session: SignedIn,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Annotated[Cursor | None, Query()] = None,
) -> LatestList:
    """List the last values of all devices, page by page."""
    items, next_cursor = await telemetry.latest_page(session.tenant_id, limit, cursor)
    return LatestList(items=[Latest(**item) for item in items], next_cursor=next_cursor)


@router.get("/firings")
async def list_firings(
    telemetry: _Telemetry,
    session: SignedIn,
    rule_id: Annotated[UUID | None, Query(description="Of this rule only.")] = None,
    device: Annotated[Key | None, Query(description="Of the device with this key only.")] = None,
    cursor: Annotated[EntryCursor | None, Query()] = None,
    limit: Limit = LIMIT_DEFAULT,
) -> FiringList:
    """List firings, newest first."""
    items, next_cursor = await telemetry.firings(
        session.tenant_id, rule_id=rule_id, device_id=device, cursor=cursor, limit=limit
    )
    return FiringList(items=[Firing(**item) for item in items], next_cursor=next_cursor)


@router.websocket("/stream")
async def stream(
    socket: WebSocket,
    kind: Annotated[list[EventKind] | None, Query(max_length=16)] = None,
    device: Annotated[list[Key] | None, Query(max_length=_DEVICES_MAX)] = None,
) -> None:
    """Watch events as they happen.

    The token goes in the ``Authorization`` header or, from a browser, beside the subprotocol:
    ``["fluxhybrid.v1", "bearer.<token>"]``; never in the URL, which ends up in logs.
    """
    session = await socket.app.state.accounts.sign_in(_token(socket), address_of(socket))
    watchers: Watchers = socket.app.state.watchers
    watcher = watchers.join(session.tenant_id, kind or (), device or ())
    try:
        offered = socket.scope.get("subprotocols", [])
        await socket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
        await _both_ways(socket, watcher)
    finally:
        watchers.leave(watcher)


def _token(socket: WebSocket) -> str | None:
    scheme, _, token = socket.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    for offered in socket.scope.get("subprotocols", []):
        if offered.startswith(_BEARER):
            return str(offered[len(_BEARER) :])
    return None


async def _both_ways(socket: WebSocket, watcher: Watcher) -> None:
    """Send until the watcher leaves; what he says has no meaning and ends it."""
    sending = asyncio.create_task(_send(socket, watcher))
    hearing = asyncio.create_task(socket.receive())
    try:
        await asyncio.wait((sending, hearing), return_when=asyncio.FIRST_COMPLETED)
        if hearing.done() and not hearing.cancelled() and hearing.exception() is None:
            if hearing.result()["type"] == "websocket.receive":
                await socket.close(_POLICY_VIOLATION, "this stream only speaks")
        elif sending.done():
            sending.result()
    except (WebSocketDisconnect, RuntimeError, OSError):
        # He is gone already: nobody is left to tell.
        pass
    finally:
        sending.cancel()
        hearing.cancel()
        await asyncio.gather(sending, hearing, return_exceptions=True)


async def _send(socket: WebSocket, watcher: Watcher) -> None:
    while True:
        await socket.send_text((await watcher.next_message()).decode())
