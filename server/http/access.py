"""One record a request: the log line, the metrics, and the outcome of the service `evenkeel`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from server.telemetry import metrics

if TYPE_CHECKING:
    from server.http.handler import Handler

log = logging.getLogger("evenkeel.access")


def record(handler: Handler, seconds: float) -> None:
    """Called once when a request has been answered."""
    request = handler.request
    status = handler.get_status()
    route = handler.route or type(handler).__name__
    metrics.request(route, request.method or "", status, seconds)
    if handler.counted:
        handler.parts.intake.count_own(route, request.method or "", status, seconds)
    stored = {} if handler.stored is None else {"stored": handler.stored}
    log.log(
        # A router asks every few seconds: its lines would drown the rest.
        logging.DEBUG if request.path.startswith("/health/") else logging.INFO,
        "%s %s %d",
        request.method,
        request.path,
        status,
        extra={
            "request_id": handler.request_id,
            "fields": {
                "route": route,
                "duration_ms": round(seconds * 1000, 2),
                "who": handler.identity.name if handler.identity else "",
                "address": request.remote_ip,
                **stored,
            },
        },
    )
