"""The application: features' routes, put together.

Owns the list of routes and the handlers of errors.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI, Request, WebSocket
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import ASGIApp

from fluxhybrid.accounts.routes import router as accounts_router
from fluxhybrid.accounts.service import Accounts
from fluxhybrid.alarms.routes import router as alarms_router
from fluxhybrid.alarms.service import Alarms
from fluxhybrid.api.docs_page import docs_page
from fluxhybrid.api.gate import Counter, Gate
from fluxhybrid.api.problems import of_defect, of_error, of_status, of_validation
from fluxhybrid.api.schema import describe
from fluxhybrid.api.status import health_router, status_router
from fluxhybrid.commands.routes import router as commands_router
from fluxhybrid.commands.service import Commands
from fluxhybrid.configuration.parameters import PREFIX
from fluxhybrid.configuration.service import Configuration
from fluxhybrid.devices.routes import devices_router, products_router
from fluxhybrid.devices.service import Devices, Products
from fluxhybrid.errors import ErrorKind, FluxError
from fluxhybrid.mqtt.routes import messages_router, principals_router
from fluxhybrid.mqtt.service import Messages, Principals
from fluxhybrid.rules.routes import router as rules_router
from fluxhybrid.rules.service import Rules
from fluxhybrid.telemetry.routes import router as telemetry_router
from fluxhybrid.telemetry.service import Telemetry
from fluxhybrid.telemetry.stream import Watchers

__all__ = ["Services", "create_app", "routes"]

_log = logging.getLogger(__name__)

_ROUTERS: Final = (
    products_router,
    devices_router,
    rules_router,
    principals_router,
    messages_router,
    telemetry_router,
    alarms_router,
    commands_router,
    accounts_router,
    status_router,
    health_router,
)


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes call."""

    configuration: Configuration
    accounts: Accounts
    products: Products
    devices: Devices
    principals: Principals
    messages: Messages
    rules: Rules
    telemetry: Telemetry
    watchers: Watchers
    alarms: Alarms
    commands: Commands
    report: Callable[[], dict[str, Any]]
    health: Callable[[], dict[str, Any]]


def create_app(
    services: Services, *, version: str, body_bytes_max: int, counter: Counter
) -> ASGIApp:
    """The application.

    Args:
        services: what the routes call.
        version: of the project.
        body_bytes_max: largest body of a request.
        counter: counts requests.
    """
    app = routes(version)
    for name in Services.__dataclass_fields__:
        setattr(app.state, name, getattr(services, name))
    _add_handlers(app)

    def generations() -> tuple[int, int]:
        both = services.configuration.generations()
        return both.stored, both.in_force

    return Gate(app, body_bytes_max=body_bytes_max, generations=generations, counter=counter)


def routes(version: str) -> FastAPI:
    """Every route, with nothing behind it: enough to describe the API."""
    app = FastAPI(
        title="fluxhybrid",
        version=version,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # A redirect would be an answer that is neither a resource nor a problem document.
        redirect_slashes=False,
    )
    for router in _ROUTERS:
        app.include_router(router)
    _add_documentation(app, version)
    return app


def _add_documentation(app: FastAPI, version: str) -> None:
    async def openapi() -> Response:
        return JSONResponse(describe(app, version))

    async def docs() -> Response:
        return docs_page()

    app.add_api_route(f"{PREFIX}/openapi.json", openapi, include_in_schema=False)
    app.add_api_route("/docs", docs, include_in_schema=False)


def _add_handlers(app: FastAPI) -> None:
    # The framework's type for handlers knows either requests or WebSockets, not both.
    handlers: dict[type[Exception], Any] = {
        FluxError: _on_error,
        RequestValidationError: _on_validation,
        WebSocketRequestValidationError: _on_validation,
        HTTPException: _on_http,
        Exception: _on_defect,
    }
    for error_class, handler in handlers.items():
        app.add_exception_handler(error_class, handler)


async def _on_error(connection: HTTPConnection, error: FluxError) -> Response | None:
    if error.kind is ErrorKind.INTERNAL:
        # The caller is not told what went wrong inside: whoever runs the server is.
        _log.error("%s: %s", error.code, error.message, exc_info=error)
    return await _answered(connection, of_error(error))


async def _on_validation(
    connection: HTTPConnection, error: RequestValidationError | WebSocketRequestValidationError
) -> Response | None:
    body = getattr(error, "body", None)
    return await _answered(connection, of_validation(error.errors(), body))


async def _on_defect(connection: HTTPConnection, _: Exception) -> Response | None:
    # The framework raises the error again, for the gate to log.
    return await _answered(connection, of_defect())


async def _on_http(connection: HTTPConnection, error: HTTPException) -> Response | None:
    path = connection.url.path
    if error.status_code == 404:
        answer = of_status(
            404,
            "request.no_such_path",
            f"there is nothing at {path[:200]}",
            hint="every path is listed at /docs",
        )
    elif error.status_code == 405 and isinstance(connection, Request):
        allowed = ", ".join(_allowed(connection))
        answer = of_status(
            405,
            "request.method",
            f"{connection.method[:20]} is not understood here",
            hint=f"use one of {allowed}",
            headers={"Allow": allowed},
        )
    else:
        answer = of_status(error.status_code, "request.refused", str(error.detail))
    return await _answered(connection, answer)


def _allowed(request: Request) -> list[str]:
    """Every method of every route of this path; the framework stops at the first."""
    methods = {"HEAD"}
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.router.routes):
            methods.add(method)
    return sorted(methods if "GET" in methods else methods - {"HEAD"})


async def _answered(connection: HTTPConnection, answer: Response) -> Response | None:
    if isinstance(connection, WebSocket):
        # Before it is accepted, a WebSocket is refused like any request.
        await connection.send_denial_response(answer)
        return None
    return answer
