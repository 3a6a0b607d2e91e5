#!/usr/bin/env bash
# What one exponential histogram does to OpenTelemetry's Prometheus endpoint for Python.
#
# Guess: the endpoint shows an exponential histogram as a native one, or as a classic one with derived buckets, or
# leaves it out with a warning, as the text format has no place for it. The other metrics are shown in any case.
# What happens (opentelemetry-exporter-prometheus 0.66b1): the reader raises AttributeError while it collects, from the
# first recorded value on, and nothing catches it: the scrape answers 500, also for the metrics of prometheus_client
# itself that share the registry. Nothing is said when the view is set up, nor at the first scrapes, as long as the
# histogram is empty. The same provider's OTLP reader goes on.
# Why it matters: "use exponential histograms" is a change of one view, or of one environment variable for the OTLP
# exporter that the endpoint does not obey; where the endpoint is scraped, the target is down from the first request
# on, so that an alert on the error ratio has no data and stays quiet. Alert on `up`, and read scrapes that ended as
# unknown, not as zero.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check opentelemetry-sdk==1.45.1 \
  opentelemetry-exporter-prometheus==0.66b1 prometheus-client==0.26.0 2>/dev/null
"$work/venv/bin/python" - 2>"$work/server" <<'PY'
import os
import urllib.error
import urllib.request
from importlib.metadata import version

import prometheus_client
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View

for name in ("opentelemetry-exporter-prometheus", "prometheus-client"):
    print(name, version(name))
os.environ["OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"] = "base2_exponential_bucket_histogram"
other = InMemoryMetricReader()
view = View(instrument_name="by.view", aggregation=ExponentialBucketHistogramAggregation())
meter = MeterProvider([PrometheusMetricReader(), other], views=[view]).get_meter("shop")
prometheus_client.Counter("plain_client", "of prometheus_client alone").inc()
server, _ = prometheus_client.start_http_server(0, addr="127.0.0.1")


def scrape() -> tuple[int, list[str]]:
    """The status of a scrape, and the metrics of ours that it showed."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
            types = [line.split()[2:4] for line in lines if line.startswith("# TYPE")]
            ours = ("requests", "by_view", "by_default", "plain_client_total")
            return answer.status, sorted(" ".join(pair) for pair in types if pair[0].startswith(ours))
    except urllib.error.HTTPError as error:
        return error.code, []


meter.create_counter("requests").add(1)
meter.create_histogram("by.default", unit="s").record(0.5)
histogram = meter.create_histogram("by.view", unit="s")
steps = {"before": scrape()}
histogram.record(0.5)
steps["after one value"] = scrape()
steps["and at the next scrape"] = scrape()
for name, (status, shown) in steps.items():
    print(f"{name:<24} {status} {', '.join(shown)}")
data = other.get_metrics_data()
kinds = {
    metric.name: type(metric.data).__name__
    for resource in data.resource_metrics
    for scope in resource.scope_metrics
    for metric in scope.metrics
}
print("another reader of the same provider:", kinds)
shown = ["by_default_seconds histogram", "plain_client_total counter", "requests_total counter"]
assert steps["before"] == (200, shown), steps
assert steps["after one value"] == (500, []) == steps["and at the next scrape"], "it behaves otherwise now"
assert kinds["by.view"] == "ExponentialHistogram" and kinds["requests"] == "Sum"
PY
grep --max-count=1 "AttributeError" "$work/server"
