"""The API at a glance: one table of every domain's addresses. Domains import Route from server/http/route.py."""

from __future__ import annotations

from server.alerts import handlers as alerts
from server.auth import handlers as auth
from server.changes import flag_handlers, hook_handlers, target_handlers
from server.changes import handlers as changes
from server.config import handlers as config
from server.gate import handlers as gate
from server.http import api_docs
from server.http.route import Route
from server.incidents import feed_handler as incident_feed
from server.incidents import handlers as incidents
from server.incidents import knew_handler, suspect_handler
from server.incidents import measures_handlers as incident_measures
from server.ingest import handlers as ingest
from server.ingest.lines import line_handlers
from server.ingest.routes import route_handlers
from server.ingest.telemetry import drain_handlers, otlp_handlers, otlp_line_handlers, otlp_metrics_handler
from server.live import handlers as live
from server.maintenance import handlers as maintenance
from server.mcp import handlers as mcp
from server.notify import handlers as notify
from server.process import health
from server.review import handlers as review
from server.selfcheck import handlers as check_results
from server.signals import alertmanager_handlers
from server.signals import handlers as signals
from server.slo.api import handlers as slo
from server.telemetry import metrics_handler

__all__ = ["API", "Route"]


class OutcomesHandler(live.OutcomesHandler, ingest.OutcomesHandler):
    """One address, two domains: outcomes are sent to it and asked for."""


API: tuple[Route, ...] = (
    Route("/api/v1/outcomes", OutcomesHandler),
    *live.ROUTES,
    *route_handlers.ROUTES,
    *drain_handlers.ROUTES,
    *config.ROUTES,
    *changes.ROUTES,
    *target_handlers.ROUTES,
    *flag_handlers.ROUTES,
    *hook_handlers.ROUTES,
    *maintenance.ROUTES,
    *slo.ROUTES,
    *alerts.ROUTES,
    *signals.ROUTES,
    *alertmanager_handlers.ROUTES,
    *incident_measures.ROUTES,
    *incidents.ROUTES,
    *incident_feed.ROUTES,
    *knew_handler.ROUTES,
    *suspect_handler.ROUTES,
    *gate.ROUTES,
    *notify.ROUTES,
    *review.ROUTES,
    *auth.ROUTES,
    *check_results.ROUTES,
    *health.ROUTES,
    *metrics_handler.ROUTES,
    *mcp.ROUTES,
    *api_docs.ROUTES,
    *otlp_handlers.ROUTES,
    *otlp_metrics_handler.ROUTES,
    *otlp_line_handlers.ROUTES,
    *line_handlers.ROUTES,
)
