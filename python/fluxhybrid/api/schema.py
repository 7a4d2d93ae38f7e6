"""The API's own description: OpenAPI 3.1.

Owns what the framework cannot know: that every error is a problem document. Must never describe
what is not so: a test calls the API from this description.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from fluxhybrid.api.problems import MEDIA_TYPE, ProblemDocument

__all__ = ["describe"]

_REF: Final = "#/components/schemas/{model}"
_FRAMEWORKS: Final = ("HTTPValidationError", "ValidationError")
_METHODS: Final = frozenset(("get", "put", "post", "patch", "delete"))

_DESCRIPTION: Final = """\
Products, devices, rules, accounts, and what comes of them. Every error is a problem document
(RFC 9457) with a stable `code`, and all `problems` at once. Lists come in pages: go on with
`next_cursor`. Times are milliseconds since 1970, UTC. Every answer carries `X-Flux-Generation`, the
number of the configuration that is stored, and `X-Flux-Generation-In-Force`, the one the engine
works by. The live stream is a WebSocket at `/api/v1/stream?kind=…&device=…`.
"""


def describe(app: FastAPI, version: str) -> dict[str, Any]:
    """The OpenAPI document of the application, made once."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    document = get_openapi(
        title="fluxhybrid",
        version=version,
        openapi_version="3.1.0",
        description=_DESCRIPTION,
        routes=app.routes,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    problem = ProblemDocument.model_json_schema(ref_template=_REF)
    schemas |= problem.pop("$defs", {})
    schemas["ProblemDocument"] = problem
    for operations in document["paths"].values():
        for method in _METHODS & operations.keys():
            _with_problems(operations[method]["responses"])
    for name in _FRAMEWORKS:
        schemas.pop(name, None)
    app.openapi_schema = document
    return document


def _with_problems(responses: dict[str, Any]) -> None:
    responses.pop("422", None)
    responses["default"] = {
        "description": "A problem document (RFC 9457)",
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="ProblemDocument")}}},
    }
