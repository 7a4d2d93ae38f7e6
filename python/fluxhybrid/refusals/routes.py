"""HTTP: what was refused lately."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from fluxhybrid.accounts.routes import SignedIn
from fluxhybrid.configuration.parameters import PREFIX
from fluxhybrid.refusals.model import RefusalList, Refused
from fluxhybrid.refusals.ports import RefusalBoard

__all__ = ["router"]

router = APIRouter(prefix=PREFIX, tags=["refusals"])

LISTED_MAX = 256
"""As many as the engine keeps."""


def _board(request: Request) -> RefusalBoard:
    board: RefusalBoard = request.app.state.refusals
    return board


@router.get("/refusals")
async def list_refusals(
    board: Annotated[RefusalBoard, Depends(_board)],
    session: SignedIn,
    limit: Annotated[int, Query(ge=1, le=LISTED_MAX, description="At most so many.")] = LISTED_MAX,
) -> RefusalList:
    """List what was refused lately and why: connections, publications, subscriptions, messages.

    The same refusal again is one entry with a count. What is listed is forgotten at a restart.
    """
    found = board.refusals(session.tenant_id, limit)
    return RefusalList(
        items=[Refused.model_validate(item) for item in found["items"]], unlisted=found["unlisted"]
    )
