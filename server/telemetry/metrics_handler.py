"""GET /metrics, for Prometheus."""

from __future__ import annotations

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from server.http.handler import ApiHandler
from server.http.operation import Operation, operation
from server.http.route import Route
from server.telemetry.scrape import scrape

MEDIA = "text/plain"


class MetricsHandler(ApiHandler):
    """Closed to strangers unless METRICS_PUBLIC is true."""

    counted = False
    receiver = "prometheus"

    async def authorise(self, operation: Operation) -> None:
        if not self.parts.env.metrics_public:
            await super().authorise(operation)

    @operation("Every metric as Prometheus text", scope="read", returns=str, media=MEDIA)
    async def get(self) -> None:
        text = await scrape(self.parts)
        self.set_header("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)
        self.write(text)


ROUTES: tuple[Route, ...] = (Route("/metrics", MetricsHandler),)
