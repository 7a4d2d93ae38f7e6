"""Errors as people get them: problem documents (RFC 9457).

Owns their shape, and the way from every kind of error to one. Must never let an error out in any
other shape, nor tell what went wrong inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from fluxhybrid.accounts.service import NotSignedIn, TooManyAttempts
from fluxhybrid.errors import ErrorKind, FluxError, Problem

__all__ = [
    "MEDIA_TYPE",
    "ProblemDocument",
    "ProblemItem",
    "of_defect",
    "of_error",
    "of_status",
    "of_validation",
    "problem_response",
]

MEDIA_TYPE: Final = "application/problem+json"
PROBLEMS_MAX: Final = 100
"""Problems told of at once."""
RETRY_AFTER_S: Final = 1

_TITLES: Final[Mapping[int, str]] = {
    400: "The request cannot be read",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "The request took too long",
    409: "In conflict with the present state",
    413: "The request is too large",
    415: "The request's media type is not understood",
    422: "The request is wrong",
    429: "Too many attempts",
    500: "Our fault",
    503: "Not now",
}


class ProblemItem(BaseModel):
    """One thing that is wrong."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(description="Stable name of what is wrong, such as `rule.compile`.")
    message: str
    pointer: str | None = Field(None, description="JSON pointer (RFC 6901) into the body.")
    parameter: str | None = Field(None, description="Name of the parameter or header.")
    line: int | None = Field(None, description="Line in the text it points at, from 1.")
    column: int | None = Field(None, description="Column in the line, from 1.")
    hint: str | None = Field(None, description="How to mend it.")


class ProblemDocument(BaseModel):
    """An error (RFC 9457). Its first problem's members stand in the document itself too."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="`urn:fluxhybrid:error:<code>`.")
    title: str
    status: int
    detail: str
    code: str = Field(description="Stable name of what is wrong, such as `rule.compile`.")
    pointer: str | None = Field(None, description="JSON pointer (RFC 6901) into the body.")
    line: int | None = Field(None, description="Line in the text it points at, from 1.")
    column: int | None = Field(None, description="Column in the line, from 1.")
    hint: str | None = Field(None, description="How to mend it.")
    problems: list[ProblemItem] = Field(description="Everything that is wrong.")


def problem_response(
    status: int, items: Sequence[ProblemItem], headers: Mapping[str, str] | None = None
) -> Response:
    """A response that reports these problems; the first gives it its code."""
    first = items[0]
    count = len(items)
    detail = first.message if count == 1 else f"{first.message} (and {count - 1} more)"
    document = ProblemDocument(
        type=f"urn:fluxhybrid:error:{first.code}",
        title=_TITLES.get(status) or HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=first.code,
        pointer=first.pointer,
        line=first.line,
        column=first.column,
        hint=first.hint,
        problems=list(items[:PROBLEMS_MAX]),
    )
    body = orjson.dumps(document.model_dump(exclude_none=True))
    return Response(body, status, dict(headers or {}), media_type=MEDIA_TYPE)


def of_error(error: FluxError) -> Response:
    """The response to one of the project's errors."""
    if isinstance(error, NotSignedIn):
        # RFC 6750, section 3: who showed no token is not told of an error in it.
        wrong = "" if error.code == "auth.missing" else ', error="invalid_token"'
        headers = {"WWW-Authenticate": f'Bearer realm="fluxhybrid"{wrong}'}
        return problem_response(401, _items(error), headers)
    if isinstance(error, TooManyAttempts):
        wait = {"Retry-After": str(max(1, round(error.wait_s)))}
        return problem_response(429, _items(error), wait)
    later = {"Retry-After": str(RETRY_AFTER_S)} if error.kind is ErrorKind.UNAVAILABLE else None
    return problem_response(error.http_status, _items(error), later)


def of_status(
    status: int,
    code: str,
    message: str,
    *,
    hint: str | None = None,
    line: int | None = None,
    column: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The response for a request refused before anybody looked at what it wants."""
    item = ProblemItem(code=code, message=message, hint=hint, line=line, column=column)
    return problem_response(status, [item], headers)


def of_defect() -> Response:
    """The response when something broke."""
    return of_status(500, "internal", "something broke", hint="the server's log says what")


def of_validation(errors: Sequence[Any], body: Any) -> Response:
    """The response to input that is not of the shape it should be: all of it at once.

    Args:
        errors: as pydantic reports them.
        body: what was sent, to tell its members from names of the models' own.
    """
    items = [_validation_item(error, body) for error in errors[:PROBLEMS_MAX]]
    return problem_response(422, items)


def _items(error: FluxError) -> list[ProblemItem]:
    return [_item(problem) for problem in error.problems]


def _item(problem: Problem) -> ProblemItem:
    return ProblemItem(
        code=problem.code,
        message=problem.message,
        pointer=problem.pointer,
        line=problem.line,
        column=problem.column,
        hint=problem.hint,
    )


def _validation_item(error: Mapping[str, Any], body: Any) -> ProblemItem:
    place, *path = error["loc"] or ("body",)
    context = error.get("ctx") or {}
    hint = context.get("hint")
    message = str(error["msg"])
    if error["type"] == "union_tag_invalid":
        # It is the member that says which one it is that is wrong, not the whole object.
        path = [*path, str(context["discriminator"]).strip("'")]
        message = f"input should be one of {context['expected_tags']}"
    if isinstance(hint, str):
        # Our own checks say what is wrong with it, not what it is.
        message = f"{_called(path) or place} {message}"
    item = ProblemItem(
        code=f"request.{error['type']}",
        message=_sentence(message),
        hint=hint if isinstance(hint, str) else None,
    )
    if place == "body":
        return item.model_copy(update={"pointer": _pointer(path, body, str(error["type"]))})
    return item.model_copy(update={"parameter": str(path[0]) if path else str(place)})


def _called(path: Sequence[int | str]) -> str:
    """What people call the member at the end of a path: ``url``, ``publish[0]``."""
    if len(path) > 1 and isinstance(path[-1], int):
        return f"{path[-2]}[{path[-1]}]"
    return str(path[-1]) if path else ""


def _sentence(message: str) -> str:
    # "Input should be", but "UUID input should be".
    return message if message[1:2].isupper() else message[:1].lower() + message[1:]


def _pointer(path: Sequence[int | str], body: Any, error_type: str) -> str:
    """RFC 6901. Between the members, pydantic names the variants of unions: they are skipped."""
    parts: list[str] = []
    here = body
    entered = True
    for place, step in enumerate(path):
        last = place == len(path) - 1
        if entered and not last and _is_variant(here, step):
            # Before the test for members: a command has a member "command".
            entered = False
            continue
        if _has(here, step):
            here = here[step]
            entered = True
        elif not (error_type == "missing" and last):
            continue
        parts.append(str(step).replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{part}" for part in parts)


def _is_variant(container: Any, step: int | str) -> bool:
    """Whether pydantic's step names which variant of a union the object is."""
    if not isinstance(container, dict) or not isinstance(step, str):
        return False
    spelling = container.get("type")
    return isinstance(spelling, str) and _letters(spelling) == _letters(step)


def _letters(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")


def _has(container: Any, step: int | str) -> bool:
    if isinstance(container, dict):
        return step in container
    return isinstance(container, list) and isinstance(step, int) and 0 <= step < len(container)
