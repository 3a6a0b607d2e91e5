"""OTLP over HTTP: /v1/metrics."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)

from server.http.operation import operation
from server.http.route import AnywhereRoute, Route
from server.ingest.telemetry.metering import receive_points
from server.ingest.telemetry.otlp_handlers import ERRORS, SLICE_BYTES, OtlpHandler, first_fault
from server.ingest.telemetry.receiving import Incoming, ReceivedOutcomes
from server.receivers.otlp.metric_wire import METRICS
from server.receivers.otlp.points import BadPoint, MetricPoint, read_points
from server.receivers.otlp.records import sent_resources


class RejectedPoints(Struct, rename="camel"):
    """How many points were refused of a request whose rest is kept, and what was wrong with the first."""

    rejected_data_points: str
    error_message: str


class MetricsAnswer(Struct, rename="camel", omit_defaults=True):
    """Everything else is kept, durably, or is no duration of requests."""

    partial_success: RejectedPoints | None = None


class OtlpMetricsHandler(OtlpHandler):
    """/v1/metrics at the end of any address."""

    path = "/v1/metrics"
    receiver = "OTLP metrics"

    @operation(
        "Send histograms of request durations by OTLP: protobuf or JSON, as it is, gzip or deflate",
        scope="ingest",
        body=dict[str, Any],
        returns=MetricsAnswer,
        errors=ERRORS,
        headers=("Content-Encoding",),
        body_media=("application/x-protobuf", "application/json"),
        answer_headers=("RateLimit", "RateLimit-Policy"),
    )
    async def post(self) -> None:
        """http.server.request.duration and http.server.duration become outcomes, of services that send no spans."""
        received = await self.received_of(None)
        refused, why = len(received.faults), first_fault(received)
        partial = ExportMetricsPartialSuccess(rejected_data_points=refused, error_message=why) if refused else None
        self.answered(
            received,
            ExportMetricsServiceResponse(partial_success=partial),
            MetricsAnswer(RejectedPoints(str(refused), why) if refused else None),
        )

    async def store(self, body: bytes, incoming: Incoming, read: Any) -> ReceivedOutcomes:
        assert self.identity is not None
        turns = self.parts.intake.turns
        await turns.next(len(body))
        request, found = sent_resources(body, METRICS, json=self.in_json()), list[MetricPoint | BadPoint]()
        del body
        for _ in read_points(request, found):
            await turns.next(SLICE_BYTES)
        self.settled = True
        return await receive_points(self.parts, self.identity, incoming, found)


ROUTES: tuple[Route, ...] = (AnywhereRoute("/v1/metrics", OtlpMetricsHandler),)
