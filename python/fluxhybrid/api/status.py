"""HTTP: how the server is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from fluxhybrid.accounts.routes import SignedIn
from fluxhybrid.configuration.parameters import PREFIX
from fluxhybrid.engine.notation import Output

__all__ = ["health_router", "status_router"]

status_router = APIRouter(prefix=PREFIX, tags=["operations"])
health_router = APIRouter(tags=["operations"])


class Health(Output):
    """Whether the server does its work."""

    status: str


class GenerationsOut(Output):
    """Both truths of the configuration: equal, unless something is wrong."""

    stored: int
    in_force: int


class WebhookDestination(Output):
    """A webhook's destination."""

    destination: str = Field(description="Without user and parameters.")
    circuit: Literal["closed", "open", "half_open"]
    waiting: int
    failures: int = Field(description="In a row.")
    last_detail: str


class Process(Output):
    """What the process takes of the machine."""

    resident_bytes: int | None = Field(description="Memory in use; null where it cannot be told.")
    disk_free_bytes: int | None = Field(description="Left where the data is kept.")


class Status(Output):
    """How the server is."""

    version: str
    site: str = Field(description="Name of the site.")
    started_at_ms: int
    generations: GenerationsOut
    engine: dict[str, Any]
    figures: dict[str, Any] = Field(
        description="The engine's work: counters since the start (`..._total`), and how things "
        "are now. `/metrics` has all of them."
    )
    process: Process
    addresses: dict[str, str]
    webhooks: list[WebhookDestination]
    stream_clients: int


@status_router.get("/status")
async def get_status(request: Request, session: SignedIn) -> Status:
    """Show how the server is: versions, generations, engine, webhooks."""
    report: Callable[[], dict[str, Any]] = request.app.state.report
    return Status(**report())


@health_router.get("/healthz")
async def get_health(request: Request, response: Response) -> Health:
    """Tell whether the server does its work, for supervisors: no token needed."""
    health: Callable[[], dict[str, Any]] = request.app.state.health
    status = str(health().get("status", "unknown"))
    if status != "ok":
        response.status_code = 503
    return Health(status=status)
