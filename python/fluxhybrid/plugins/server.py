"""A running server's plugins, over its HTTP API.

Owns the requests and what their errors mean. Must never touch a server's files.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

import httpx

from fluxhybrid.errors import HTTP_STATUSES, FluxError, Invalid, Problem, Unavailable, error_of_kind
from fluxhybrid.plugins.building import Built

__all__ = ["PluginServer"]

_TIMEOUT_S: Final = 30.0
"""Compiling and trying a module takes its time."""
_KINDS: Final = {
    **{status: kind for kind, status in HTTP_STATUSES.items()},
    400: "invalid",
    401: "denied",
    413: "invalid",
    415: "invalid",
    429: "unavailable",
}


class PluginServer:
    """A running server.

    Args:
        url: where its API is, such as ``http://127.0.0.1:8080``.
        token: an API token.
    """

    def __init__(
        self, url: str, token: str | None, transport: httpx.BaseTransport | None = None
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._url = url.rstrip("/")
        self._client = httpx.Client(
            base_url=f"{self._url}/api/v1",
            headers=headers,
            timeout=_TIMEOUT_S,
            transport=transport,
            trust_env=False,
        )

    def __enter__(self) -> PluginServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def list(self) -> list[dict[str, Any]]:
        """Its plugins, each with ``id``, ``version``, state and figures."""
        items: list[dict[str, Any]] = self._ask("GET", "/plugins")["items"]
        return items

    def install(self, built: Built) -> dict[str, Any]:
        """Put a plugin on the server, or a new version in place of the old.

        The server compiles it, tries its vectors, and only then swaps it in.
        """
        return self._ask(
            "POST",
            "/plugins",
            {
                "id": built.project.id,
                "module_base64": base64.b64encode(built.module.read_bytes()).decode(),
                "vectors": json.loads(built.vectors.read_bytes()),
                "manifest": built.manifest.read_text("utf-8"),
            },
        )

    def reload(self, plugin_id: str) -> dict[str, Any]:
        """Read a plugin from the server's directory again."""
        return self._ask("POST", f"/plugins/{plugin_id}:reload")

    def rollback(self, plugin_id: str) -> dict[str, Any]:
        """Put the version before this one back."""
        return self._ask("POST", f"/plugins/{plugin_id}:rollback")

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.InvalidURL as error:
            raise Invalid("plugin.url", f"{self._url}: {error}") from None
        except httpx.HTTPError as error:
            raise Unavailable(
                "plugin.server",
                f"no answer from {self._url}: {error}",
                hint="is it running? --url says where, such as http://127.0.0.1:8080",
            ) from None
        if answer.is_success:
            content: dict[str, Any] = answer.json()
            return content
        raise _error(answer)


def _error(answer: httpx.Response) -> FluxError:
    """A problem document (RFC 9457) as the exception it is of."""
    try:
        document: Any = answer.json()
    except ValueError:
        document = None
    if not isinstance(document, dict) or "code" not in document:
        path = answer.request.url.path
        document = {
            "code": "plugin.server",
            "detail": f"{path} answers {answer.status_code} {answer.reason_phrase}".rstrip(),
            "hint": "is this a fluxhybrid server of this version?",
        }
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        document["hint"] = "give a token: --token, or FLUXHYBRID_TOKEN in the environment"
    problems = [
        Problem(
            problem["code"],
            problem["message"],
            problem.get("hint"),
            pointer=problem.get("pointer"),
            line=problem.get("line"),
            column=problem.get("column"),
        )
        for problem in document.get("problems") or ()
    ]
    kind = _KINDS.get(answer.status_code, "internal")
    text = str(document.get("detail") or document.get("title") or "the server refuses")
    return error_of_kind(kind)(
        str(document["code"]), text, hint=document.get("hint"), problems=problems
    )
