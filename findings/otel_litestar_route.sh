#!/usr/bin/env bash
# What Litestar's own OpenTelemetry plugin tells as the route of a request.
#
# Guess: `http.route` is the template of the route, `/orders/{number}`, as the conventions say: few values, so that it is
# a name to count by; what no route serves has none.
# What happens (Litestar 2.25.0, opentelemetry-instrumentation-asgi 0.66b1): it is the method and the path as it was
# asked for, `GET /orders/7`, also of what was not found; and it is an attribute of the duration's points.
# Why it matters: each id is a series of its own, in the histograms too, and each path that a stranger tries: memory of
# the service and of whoever keeps the metrics grows with them. Evenkeel makes a template of the path.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  opentelemetry-sdk==1.45.1 opentelemetry-instrumentation-asgi==0.66b1 litestar==2.25.0 httpx==0.28.1 2>/dev/null
OTEL_SEMCONV_STABILITY_OPT_IN=http "$work/venv/bin/python" - 2>/dev/null <<'PY'
from importlib.metadata import version

from litestar import Litestar, get
from litestar.plugins.opentelemetry import OpenTelemetryConfig, OpenTelemetryPlugin
from litestar.testing import TestClient
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

print("litestar", version("litestar"), "asgi", version("opentelemetry-instrumentation-asgi"))
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))


@get("/orders/{number:int}")
async def order(number: int) -> str:
    return "x"


app = Litestar([order], plugins=[OpenTelemetryPlugin(OpenTelemetryConfig())])
with TestClient(app) as client:
    answered = [client.get(path).status_code for path in ("/orders/7", "/orders/8", "/.env")]
assert answered == [200, 200, 404], answered
routes = sorted(
    point.attributes.get("http.route")
    for resource in reader.get_metrics_data().resource_metrics
    for scope in resource.scope_metrics
    for metric in scope.metrics
    if metric.name == "http.server.request.duration"
    for point in metric.data.data_points
)
print("routes of points:", routes)
assert routes == ["GET /.env", "GET /orders/7", "GET /orders/8"], routes
PY
