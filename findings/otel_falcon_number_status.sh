#!/usr/bin/env bash
# What Falcon's instrumentation makes of a status that is a number.
#
# Guess: `resp.status = 404` is right since Falcon 3 takes numbers too; instrumented it is a 404, and its span and its
# point say 404.
# What happens (opentelemetry-instrumentation-falcon 0.66b1, Falcon 4.4): the client gets 500. The instrumentation splits
# the status as a text once the response is made, and its AttributeError becomes the answer; the point has no status and
# no route. Without the instrumentation the same application answers 404.
# Why it matters: to instrument the service makes failures of what was none, and whoever reads only the points sees
# requests without a status. Evenkeel counts those as abandoned, and the spans as what the client got.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  opentelemetry-sdk==1.45.1 opentelemetry-instrumentation-falcon==0.66b1 falcon==4.4.0 2>/dev/null
OTEL_SEMCONV_STABILITY_OPT_IN=http "$work/venv/bin/python" - 2>/dev/null <<'PY'
from importlib.metadata import version

import falcon
import falcon.testing
from opentelemetry import metrics
from opentelemetry.instrumentation.falcon import FalconInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

print("falcon", version("falcon"), "instrumentation", version("opentelemetry-instrumentation-falcon"))


class Missing:
    def __init__(self, status):
        self.status = status

    def on_get(self, req, resp):
        resp.status = self.status


def answered() -> list[int]:
    app = falcon.App()
    app.add_route("/number", Missing(404))
    app.add_route("/text", Missing("404 Not Found"))
    client = falcon.testing.TestClient(app)
    return [client.simulate_get(path).status_code for path in ("/number", "/text")]


plain = answered()
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
FalconInstrumentor().instrument()
instrumented = answered()
print("without:", plain, "with:", instrumented)
assert plain == [404, 404], plain
assert instrumented == [500, 404], instrumented

points = [
    (point.attributes.get("http.response.status_code"), point.attributes.get("http.route"))
    for resource in reader.get_metrics_data().resource_metrics
    for scope in resource.scope_metrics
    for metric in scope.metrics
    if metric.name == "http.server.request.duration"
    for point in metric.data.data_points
]
print("points:", points)
assert sorted(points, key=str) == [(404, "/text"), (None, None)], points
PY
