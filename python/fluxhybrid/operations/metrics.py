"""Metrics in the Prometheus text format.

Owns Python's own metrics and the page that joins them to the engine's. Must never fail because a
part of it did: what cannot be had is left out, and said.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

__all__ = [
    "CONTENT_TYPE",
    "HttpMetrics",
    "metrics_page",
    "webhook_metrics_text",
]

_log = logging.getLogger(__name__)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class HttpMetrics:
    """What the HTTP API counts. Labels are routes, not paths: their number is bounded.

    Args:
        connections_in_use: connections to the database handed out at this moment.
    """

    def __init__(self, connections_in_use: Callable[[], int]) -> None:
        # Here, not above: a headless process serves no API and loads none of it.
        from prometheus_client import (
            CollectorRegistry,
            Counter,
            Gauge,
            Histogram,
            disable_created_metrics,
        )

        # A series more for each, which nobody asked for.
        disable_created_metrics()  # type: ignore[no-untyped-call]

        self._registry = CollectorRegistry()
        self._requests = Counter(
            "flux_http_requests",
            "Requests answered by the HTTP API.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._durations = Histogram(
            "flux_http_request_duration_seconds",
            "Time from a request's arrival to the end of its answer.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._stream_clients = Gauge(
            "flux_stream_clients",
            "Clients of the WebSocket stream.",
            registry=self._registry,
        )
        self._stream_dropped = Counter(
            "flux_stream_events_dropped",
            "Events not sent to a client of the WebSocket stream that was too slow.",
            registry=self._registry,
        )
        Gauge(
            "flux_database_connections",
            "Connections to the metadata database in use.",
            registry=self._registry,
        ).set_function(connections_in_use)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._requests.labels(method, route, str(status)).inc()
        self._durations.labels(method, route).observe(seconds)

    def stream_clients(self, count: int) -> None:
        """Note how many clients the stream has."""
        self._stream_clients.set(count)

    def stream_dropped(self, count: int) -> None:
        """Count events a client of the stream missed."""
        self._stream_dropped.inc(count)

    def text(self) -> str:
        """All of it in the Prometheus text format."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry).decode()


def webhook_metrics_text(outcomes: dict[str, int], circuits: Sequence[dict[str, Any]]) -> str:
    """The webhook runner's metrics; destinations are counted, not named: they are unbounded."""
    open_now = sum(circuit["circuit"] != "closed" for circuit in circuits)
    waiting = sum(circuit["waiting"] for circuit in circuits)
    lines = [
        "# HELP flux_webhooks_total Webhooks by outcome; retried counts attempts.",
        "# TYPE flux_webhooks_total counter",
        *(f'flux_webhooks_total{{outcome="{name}"}} {n}' for name, n in outcomes.items()),
        "# HELP flux_webhook_circuits_open Destinations that fail one attempt after the other.",
        "# TYPE flux_webhook_circuits_open gauge",
        f"flux_webhook_circuits_open {open_now}",
        "# HELP flux_webhooks_in_hand Webhooks taken in hand and not yet delivered.",
        "# TYPE flux_webhooks_in_hand gauge",
        f"flux_webhooks_in_hand {waiting}",
    ]
    return "\n".join(lines) + "\n"


def metrics_page(parts: Sequence[Callable[[], str]]) -> str:
    """The texts of all parts, one after the other."""
    texts = []
    for part in parts:
        try:
            text = part()
        except Exception:
            _log.exception("some metrics cannot be had")
            text = "# some metrics are missing: see the log\n"
        if text and not text.endswith("\n"):
            text += "\n"
        texts.append(text)
    return "".join(texts)
