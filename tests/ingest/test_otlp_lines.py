"""/v1/logs: what the real SDK sends becomes lines, in the trace in which they were written."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from server.receivers.otlp.lines import LOGS, read_lines
from server.receivers.otlp.records import sent_resources
from tests.ingest.making import value
from tests.ingest.test_otlp import send
from tests.site import answer


class Records:
    """A process that logs, within a span where it fails."""

    def __init__(self, **resource: str) -> None:
        given = {"service.name": "shop", "service.instance.id": "web.2"} | resource
        self.memory = InMemoryLogRecordExporter()
        self.provider = LoggerProvider(resource=Resource(given), shutdown_on_exit=False)
        self.provider.add_log_record_processor(SimpleLogRecordProcessor(self.memory))
        self.logger = self.provider.get_logger("shop.bank")
        self.tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")

    def fail(self, text: str, **attributes: str) -> str:
        """Log an error with what was raised; the trace id."""
        with self.tracer.start_as_current_span("x") as span:
            try:
                raise ValueError("no answer")
            except ValueError as error:
                self.logger.emit(
                    timestamp=time.time_ns(),
                    body=text,
                    severity_number=SeverityNumber.ERROR,
                    attributes=attributes,
                    exception=error,
                )
        return f"{span.get_span_context().trace_id:032x}"

    @property
    def finished(self) -> Any:
        return self.memory.get_finished_logs()


def as_json(message: Any) -> bytes:
    """The same in JSON: ids in hexadecimal, severities by their names."""
    found = MessageToDict(message)
    for scope in found["resourceLogs"][0]["scopeLogs"]:
        for record in scope["logRecords"]:
            for name in {"traceId", "spanId"} & record.keys():
                record[name] = base64.b64decode(record[name]).hex()
    return json.dumps(found).encode()


@pytest.mark.gen_test
async def test_what_the_real_exporter_sends_is_found_by_its_trace(web: Any, database_url: str) -> None:
    site = await web()
    key = await site.key("ingest", "read")
    records = Records(**{"deployment.environment.name": "staging"})
    trace_id = records.fail("charge failed, password=hunter2", request_id="r-1")
    exporter = OTLPLogExporter(f"{site.url}/v1/logs", headers={"authorization": f"Bearer {key}"})
    await asyncio.to_thread(exporter.export, records.finished)
    exporter.shutdown()
    message = encode_logs(records.finished)
    again = await send(site, key, message.SerializeToString(), "/any/v1/logs")  # as where a connection is cut
    assert (again.code, again.body) == (200, b"")
    found = answer(await site.fetch(f"/api/v1/outcomes?request_id={trace_id}", key=key))
    (line,) = found["lines"]
    assert (line["service"], line["instance"], line["process"]) == ("shop@staging", "web.2", "shop.bank")
    assert (line["severity"], line["request_id"], line["trace_id"]) == (17, "r-1", trace_id)
    assert line["message"].startswith("charge failed, password=…\nTraceback (most recent call last)")
    bound = await site.key("ingest", name="bound", services=["other"])
    refused = await send(site, bound, as_json(message), "/v1/logs", Content_Type="application/json")
    assert answer(refused)["partialSuccess"]["rejectedLogRecords"] == "1"
    assert (await send(site, key, b"\xff" * 9, "/x/v1/logs")).code == 400
    assert (await send(site, key, message.SerializeToString(), "/v1/logs/v1/logs")).code == 404
    assert value(database_url, "SELECT count(*) FROM service_lines") == 1


def test_json_and_protobuf_say_the_same() -> None:
    records = Records()
    records.logger.emit(observed_timestamp=time.time_ns(), body="plain", severity_number=SeverityNumber.WARN)
    records.fail("x" * 50)
    other = records.provider.get_logger("events")
    other.emit(body={"a": [1, {"b": True}], "c": None}, severity_number=SeverityNumber.INFO2, event_name="paid")
    other.emit(event_name="session.start")
    message = encode_logs(records.finished)
    found: list[list[Any]] = []
    for body, in_json in ((message.SerializeToString(), False), (as_json(message), True)):
        lines: list[Any] = []
        assert list(read_lines(sent_resources(body, LOGS, json=in_json), lines)) == []
        found.append(lines)
    assert found[0] == found[1]
    texts = [line.text.partition("\n")[0] for line in found[0]]
    assert texts == ["plain", "x" * 50, '{"a":[1,{"b":true}],"c":null}', "session.start"]
    assert [line.severity for line in found[0]] == [13, 17, 10, 0]
    assert [(line.at or 0) > 1_700_000_000_000_000 for line in found[0]] == [True, True, True, True]
    named = MessageToDict(message)["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["severityNumber"]
    assert named == "SEVERITY_NUMBER_WARN"
    told = b'{"logRecords":[{},{"body":null,"severityNumber":"SEVERITY_NUMBER_FATAL4"}]}'
    lines = []
    list(read_lines(sent_resources(b'{"resourceLogs":[{"scopeLogs":[%b]}]}' % told, LOGS, json=True), lines))
    assert [(line.severity, line.at, line.text) for line in lines] == [(0, None, ""), (24, None, "")]
