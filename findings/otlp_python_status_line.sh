#!/usr/bin/env bash
# What the log of a Python service says when an OTLP receiver refuses its spans, and what counts as delivered.
#
# Guess: a receiver that refuses a batch says why in the body of its answer, and the exporter logs it, so that whoever
# has set the wrong key finds out from the log of the service. A redirect is followed, or refused as an error.
# What happens (opentelemetry-exporter-otlp-proto-http 1.45.2): the body of an answer is never read. The log has the
# status and the reason phrase of the status line, and for a standard phrase that is "Unauthorized", whether the key was
# wrong, missing or lacked a permission. And every status from 200 to 399 is a success: a 302 (a login page, a move to
# https) or a 304 is counted as exported, is not followed, and leaves no line at all.
# Why it matters: the only words that reach a person are those in the status line, which HTTP leaves free: say there
# what is wrong. And never let anything in front of a receiver redirect: what it redirects is lost without a trace.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check opentelemetry-sdk==1.45.2 \
  opentelemetry-exporter-otlp-proto-http==1.45.2 2>/dev/null
"$work/venv/bin/python" - <<'PY'
import logging
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

print("opentelemetry-exporter-otlp-proto-http", version("opentelemetry-exporter-otlp-proto-http"))
answers = [(401, None), (401, "This key is not known"), (302, None), (304, None)]


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        status, phrase = answers[int(self.path[1:])]
        self.send_response(status, phrase)
        self.send_header("Location", "/login")
        body = b"" if status == 304 else b"the body says what to do"
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


logging.basicConfig(format="  its log: %(message)s", level=logging.WARNING)
server = HTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
memory = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(memory))
provider.get_tracer("probe").start_span("GET /").end()
for place, (status, phrase) in enumerate(answers):
    exporter = OTLPSpanExporter(f"http://127.0.0.1:{server.server_port}/{place}")
    told = exporter.export(memory.get_finished_spans())
    print(f"{status} {phrase or 'with the standard phrase'}: {told.name}", flush=True)
    exporter.shutdown()
PY
