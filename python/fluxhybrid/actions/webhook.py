"""Call a webhook: settings, examples, and the running.

Owns the queues of destinations, their attempts and their circuits. Must never let one destination
hold up another, follow a redirect, or read an answer without bound. Entries of one destination go
in order; an entry is reported once, when it is done or given up.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from fluxhybrid.engine.notation import Input, MaxAgeMs

if TYPE_CHECKING:
    import httpx

    from fluxhybrid.actions.ports import Outbox
    from fluxhybrid.config import WebhookConfig

__all__ = ["EXAMPLES", "WebhookRunner", "WebhookSettings"]

_log = logging.getLogger(__name__)

EXAMPLES: Final = (
    {"type": "webhook", "url": "https://example.org/hooks/plant", "max_age_ms": 86_400_000},
)

HEADERS_MAX: Final = 32
RESPONSE_BYTES_MAX: Final = 65_536
"""How much of an answer is read; the rest is not waited for."""
DETAIL_LEN_MAX: Final = 200
QUEUE_LEN_MAX: Final = 16
"""Entries in memory for one destination; of the others behind them only the ids are kept."""
DESTINATIONS_KEPT_MAX: Final = 1_000
"""Destinations remembered."""
CIRCUIT_FAILURES_MAX: Final = 5
"""Failures in a row after which a destination's circuit counts as open."""

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_HEADERS_OURS: Final = frozenset(
    ("host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade",
     "expect", "x-flux-firing-id", "idempotency-key")
)  # fmt: skip
# RFC 9110, section 15: these say "later", every other 4xx says "not like this".
_STATUSES_LATER: Final = frozenset((408, 425, 429))


def _wrong(reason: str, hint: str) -> PydanticCustomError:
    return PydanticCustomError("webhook", "{reason}", {"reason": reason, "hint": hint})


def _url(text: str) -> str:
    example = 'write "https://host/path"'
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _wrong("is no URL", example) from None
    if parts.scheme not in ("http", "https"):
        raise _wrong("does not begin with http:// or https://", example)
    if not parts.hostname or port == 0:
        raise _wrong("names no host and port", example)
    if parts.fragment:
        raise _wrong("has a fragment, which is never sent", "remove what follows the #")
    return text


def _headers(headers: dict[str, str]) -> dict[str, str]:
    for name in headers:
        if not _HEADER_NAME.fullmatch(name):
            raise _wrong(f"has a header whose name is none: {name!r}", "use letters and hyphens")
        if name.lower() in _HEADERS_OURS:
            raise _wrong(f"has {name}, which is not the rule's to set", "leave it out")
    return headers


class WebhookSettings(Input):
    """Send the firing as JSON to a URL, with retries, until it is too old."""

    type: Literal["webhook"] = Field(description="The letters' case does not matter.")
    url: Annotated[
        str,
        StringConstraints(min_length=1, max_length=2_048, pattern=r"^[\x21-\x7e]+$"),
        AfterValidator(_url),
    ] = Field(description="Where to send it, by POST.")
    headers: Annotated[
        dict[str, Annotated[str, StringConstraints(max_length=1_024, pattern=r"^[\x20-\x7e]*$")]],
        Field(max_length=HEADERS_MAX),
        AfterValidator(_headers),
    ] = Field(default_factory=dict, description="Headers to add.")
    max_age_ms: MaxAgeMs = Field(
        86_400_000, description="Milliseconds after which it is recorded as expired, never sent."
    )


@dataclass(slots=True)
class _Destination:
    """What is known of one destination, and what waits for it."""

    name: str
    queue: deque[dict[str, Any]] = field(default_factory=deque)
    parked: deque[str] = field(default_factory=deque)
    """Ids taken while the queue was full, in order. They are handed back to the engine when there
    is room, and come again with all they hold: the engine keeps them, here they cost a name."""
    task: asyncio.Task[None] | None = None
    failures: int = 0
    retry_at: float | None = None
    last_detail: str = ""

    @property
    def circuit(self) -> str:
        """``closed``, ``open``, or ``half_open`` while an open one is being tried."""
        if self.failures < CIRCUIT_FAILURES_MAX:
            return "closed"
        return "open" if self.retry_at is not None else "half_open"


@dataclass(frozen=True, slots=True)
class _Attempt:
    """How one attempt ended."""

    ok: bool
    detail: str
    again: bool = False
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class _End:
    """How an entry ended."""

    ok: bool
    detail: str
    attempts: int


class WebhookRunner:
    """Sends webhooks.

    Args:
        outbox: where results are reported.
        config: timeouts, retries and backoff.
        clock: the wall clock in seconds, by which entries grow old.
    """

    def __init__(
        self, outbox: Outbox, config: WebhookConfig, clock: Callable[[], float] = time.time
    ) -> None:
        self._outbox = outbox
        self._config = config
        self._clock = clock
        self._client: httpx.AsyncClient | None = None
        self._slots = asyncio.Semaphore(config.destinations_max)
        self._destinations: OrderedDict[str, _Destination] = OrderedDict()
        # For whom there is no place among the destinations.
        self._crowded_out: deque[str] = deque()
        self.outcomes: Final = {"delivered": 0, "failed": 0, "expired": 0, "retried": 0}

    def accept(self, entry: dict[str, Any]) -> None:
        """Queue an entry for its destination, or park it until there is room."""
        destination = self._destination(_destination_name(str(entry["action"].get("url", ""))))
        if destination is None:
            self._crowded_out.append(str(entry["id"]))
        elif destination.parked or len(destination.queue) >= QUEUE_LEN_MAX:
            destination.parked.append(str(entry["id"]))
        else:
            destination.queue.append(entry)
            if destination.task is None:
                destination.task = asyncio.create_task(
                    self._serve(destination), name=f"webhook {destination.name}"
                )

    def circuits(self) -> list[dict[str, Any]]:
        """Destinations, with what waits for them and how they are."""
        return [
            {
                "destination": destination.name,
                "circuit": destination.circuit,
                "waiting": len(destination.queue) + len(destination.parked),
                "failures": destination.failures,
                "last_detail": destination.last_detail,
            }
            for destination in self._destinations.values()
        ]

    async def close(self) -> None:
        """Stop every attempt. Entries not reported are offered again after the next start."""
        tasks = [d.task for d in self._destinations.values() if d.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._destinations.clear()
        self._crowded_out.clear()
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _destination(self, name: str) -> _Destination | None:
        known = self._destinations.get(name)
        if known is not None:
            self._destinations.move_to_end(name)
            return known
        if len(self._destinations) >= DESTINATIONS_KEPT_MAX:
            idle = next((d.name for d in self._destinations.values() if d.task is None), None)
            if idle is None:
                return None
            del self._destinations[idle]
        made = self._destinations[name] = _Destination(name)
        return made

    async def _serve(self, destination: _Destination) -> None:
        try:
            while destination.queue:
                entry = destination.queue[0]
                try:
                    end = await self._deliver(destination, entry)
                except Exception as error:
                    _log.exception("a webhook to %s failed in an unknown way", destination.name)
                    end = _End(False, f"internal: {type(error).__name__}", 0)
                    self.outcomes["failed"] += 1
                destination.queue.popleft()
                self._report(entry, end)
                if len(destination.queue) <= QUEUE_LEN_MAX // 2:
                    self._hand_back(destination.parked)
        finally:
            destination.task = None
            self._hand_back(destination.parked)
            self._hand_back(self._crowded_out)

    def _hand_back(self, parked: deque[str]) -> None:
        # All of them: were only some handed back, later ones could overtake the rest.
        while parked:
            try:
                self._outbox.give_back_outbox(parked[0])
            except Exception:
                _log.exception("a webhook could not be handed back; it comes with the next start")
            parked.popleft()

    def _report(self, entry: dict[str, Any], end: _End) -> None:
        try:
            detail = end.detail[:DETAIL_LEN_MAX]
            self._outbox.complete_outbox(str(entry["id"]), end.ok, detail, end.attempts)
        except Exception:
            # The engine offers the entry again after a restart, under the same Idempotency-Key.
            _log.exception("the result of a webhook could not be recorded")

    async def _deliver(self, destination: _Destination, entry: dict[str, Any]) -> _End:
        """Try until it is delivered, refused, tried often enough, or too old."""
        expires_at = (entry["ts"] + entry["max_age_ms"]) / 1_000
        attempts = 0
        last_detail = ""
        while True:
            if self._clock() >= expires_at:
                self.outcomes["expired"] += 1
                return _End(False, f"expired; {last_detail}".rstrip("; "), attempts)
            async with self._slots:
                attempt = await self._attempt(entry)
            attempts += 1
            destination.last_detail = last_detail = attempt.detail
            if attempt.ok:
                destination.failures = 0
                self.outcomes["delivered"] += 1
                return _End(True, attempt.detail, attempts)
            destination.failures += 1
            if not attempt.again or attempts > self._config.retries_max:
                self.outcomes["failed"] += 1
                return _End(False, attempt.detail, attempts)
            self.outcomes["retried"] += 1
            await self._back_off(destination, attempt, expires_at)

    async def _back_off(
        self, destination: _Destination, attempt: _Attempt, expires_at: float
    ) -> None:
        longest = self._config.backoff_max.total_seconds()
        first = self._config.backoff_min.total_seconds()
        # The exponent is bounded: 2.0**1024 is no number.
        wait_s = min(longest, first * 2.0 ** min(destination.failures - 1, 32))
        # Half of it at random, so that a receiver coming back does not meet everyone at once.
        wait_s *= 0.5 + random.random() / 2  # noqa: S311
        if attempt.wait_s is not None:
            wait_s = max(wait_s, min(attempt.wait_s, longest))
        wait_s = max(0.0, min(wait_s, expires_at - self._clock()))
        destination.retry_at = self._clock() + wait_s
        try:
            await asyncio.sleep(wait_s)
        finally:
            destination.retry_at = None

    async def _attempt(self, entry: dict[str, Any]) -> _Attempt:
        import httpx

        client = self._client = self._client or _new_client(self._config)
        action = entry["action"]
        headers = {
            "Content-Type": "application/json",
            **action.get("headers", {}),
            "X-Flux-Firing-Id": str(entry["firing_id"]),
            # Another attempt, even after a restart, is the same request to the receiver.
            "Idempotency-Key": str(entry["id"]),
        }
        try:
            async with asyncio.timeout(self._config.timeout.total_seconds()):
                async with client.stream(
                    "POST", action["url"], content=_body(entry["body"]), headers=headers
                ) as response:
                    await _read_some(response)
        except (TimeoutError, httpx.TimeoutException):
            return _Attempt(False, "no answer in time", again=True)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
            return _Attempt(False, f"cannot be sent: {error}")
        except (httpx.HTTPError, OSError) as error:
            return _Attempt(False, f"{type(error).__name__}: {error}", again=True)
        return _judged(response)


def _judged(response: httpx.Response) -> _Attempt:
    status = response.status_code
    detail = f"HTTP {status}"
    if 200 <= status < 300:
        return _Attempt(True, detail)
    if 300 <= status < 400:
        # Whoever answers must not choose where a plant's data goes.
        return _Attempt(False, f"{detail}: redirects are not followed")
    if status in _STATUSES_LATER or status >= 500:
        wait_s = _retry_after_s(response.headers.get("retry-after"))
        return _Attempt(False, detail, again=True, wait_s=wait_s)
    return _Attempt(False, detail)


def _retry_after_s(value: str | None) -> float | None:
    """``Retry-After`` (RFC 9110, section 10.2.3) in seconds from now."""
    if value is None:
        return None
    if value.isascii() and value.isdigit() and len(value) <= 9:
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError, OSError):
        return None


async def _read_some(response: httpx.Response) -> None:
    # A short answer read to its end leaves the connection usable; a long one is cut off. Raw:
    # a few bytes sent compressed may be gigabytes.
    read = 0
    async for chunk in response.aiter_raw():
        read += len(chunk)
        if read > RESPONSE_BYTES_MAX:
            return


def _body(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    import orjson

    return orjson.dumps(body)


def _destination_name(url: str) -> str:
    """Scheme, host, port and path: no user, no parameters, which may be secrets."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(no URL)"
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def _new_client(config: WebhookConfig) -> httpx.AsyncClient:
    from http.cookiejar import CookieJar, DefaultCookiePolicy

    import httpx

    return httpx.AsyncClient(
        follow_redirects=False,
        # Not the environment's proxy, nor its .netrc: what is sent where stands in the rule.
        trust_env=False,
        timeout=httpx.Timeout(config.timeout.total_seconds()),
        limits=httpx.Limits(max_connections=config.destinations_max, max_keepalive_connections=8),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        headers={"User-Agent": "fluxhybrid", "Accept": "*/*"},
    )
