"""GET /metrics, for Prometheus."""

from __future__ import annotations

from server.http.handler import ApiHandler
from server.http.operation import Operation, operation
from server.http.route import Route
from server.telemetry.negotiation import OPEN_METRICS, TEXT, chosen
from server.telemetry.scrape import scrape


class MetricsHandler(ApiHandler):
    """Closed to strangers unless METRICS_PUBLIC is true."""

    counted = False
    receiver = "Prometheus"
    receives = "GET"
    other_media = (OPEN_METRICS,)

    async def authorise(self, operation: Operation) -> None:
        if not self.parts.env.metrics_public:
            await super().authorise(operation)

    @operation(
        "Every metric as Prometheus text, or as OpenMetrics where that is asked for",
        scope="read",
        returns=str,
        media=TEXT,
    )
    async def get(self) -> None:
        content_type = chosen(self.request.headers.get("Accept", ""))
        text = await scrape(self.parts, open_metrics=content_type.startswith(OPEN_METRICS))
        self.set_header("Content-Type", content_type)
        self.set_header("Vary", "Accept")
        self.write(text)


ROUTES: tuple[Route, ...] = (Route("/metrics", MetricsHandler),)
