"""/v1/logs: log records by OTLP."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsPartialSuccess, ExportLogsServiceResponse

from server.http.operation import operation
from server.http.route import AnywhereRoute, Route
from server.ingest.lines.line import line_of
from server.ingest.lines.line_intake import TakenLines
from server.ingest.telemetry.otlp_handlers import ERRORS, SLICE_BYTES, OtlpHandler
from server.ingest.telemetry.receiving import HandedIn
from server.receivers.drained import DrainedLine
from server.receivers.otlp.lines import LOGS, read_lines
from server.receivers.otlp.records import sent_resources


class RejectedLines(Struct, rename="camel"):
    """What is not kept of a request whose rest is: how many log records, and why."""

    rejected_log_records: str
    error_message: str


class LogsAnswer(Struct, rename="camel", omit_defaults=True):
    """Everything else is kept, durably."""

    partial_success: RejectedLines | None = None


class LogsHandler(OtlpHandler):
    """/v1/logs at the end of any address."""

    path = "/v1/logs"
    receiver = "OTLP logs"

    @operation(
        "Send log records by OTLP: protobuf or JSON, as it is, gzip or deflate",
        scope="ingest",
        body=dict[str, Any],
        returns=LogsAnswer,
        errors=ERRORS,
        headers=("Content-Encoding",),
        body_media=("application/x-protobuf", "application/json"),
    )
    async def post(self) -> None:
        """Records become log lines, free of secrets; the same body again changes nothing."""
        json = self.in_json()
        received = await self.received_of(lambda body: self.read(body, json))
        refused, why = left_out(received.lines)
        self.taken = len(received.lines.kept)
        self.answered(
            received,
            ExportLogsServiceResponse(
                partial_success=ExportLogsPartialSuccess(rejected_log_records=refused, error_message=why)
            )
            if refused
            else ExportLogsServiceResponse(),
            LogsAnswer(RejectedLines(str(refused), why) if refused else None),
        )

    async def read(self, body: bytes, json: bool) -> HandedIn:
        """The lines in a body, with turns for others between."""
        turns, lines = self.parts.intake.turns, list[DrainedLine]()
        await turns.next(len(body))
        request = sent_resources(body, LOGS, json=json)
        del body
        for _ in read_lines(request, lines):
            await turns.next(SLICE_BYTES)
        return HandedIn((), lines=[line_of(line) for line in lines])


def left_out(taken: TakenLines) -> tuple[int, str]:
    """How many lines are not kept, and why; (0, '') where all are."""
    told = (
        (taken.refused, "are of services that this key may not send"),
        (taken.over, "are over LOG_BYTES_A_DAY"),
        (taken.old, "are older than LOG_RETENTION_HOURS"),
    )
    return sum(n for n, _ in told), "; ".join(f"{n} {why}" for n, why in told if n)


ROUTES: tuple[Route, ...] = (AnywhereRoute("/v1/logs", LogsHandler),)
