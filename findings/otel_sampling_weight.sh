#!/usr/bin/env bash
# Which spans carry the weight that OpenTelemetry's consistent sampler writes.
#
# Guess: the weight stands in the trace state (`ot=th:c` is one in four), and the trace state travels with the trace;
# so every sampled span tells its weight, in the service that decided and in those it calls, and the weights of a
# service's SERVER spans add up to the requests that it had.
# What happens (opentelemetry-sdk 1.45.1, `trace._sampling_experimental`): only the root span carries it. The tracer
# does not hand the parent's trace state to its sampler, so a composite sampler with a parent rule sees none: the spans
# below the root are sampled as decided, without `th`, and other vendors' entries are gone from there on too. In the
# service called, the sum is right where the *ordinary* default sampler runs, which copies what came in. Where that
# service samples with an ordinary ratio of its own, the copied weight is another decision's: each is wrong (4 where 2
# is true), and most of the sampled spans have none.
# Why it matters: whoever weighs sampled requests finds `th` on a gateway's spans and none, or a wrong one, on those of
# the services behind it. A span without `th` is not a span of weight 1, and a `th` on a span with a remote parent is
# right only if that service adds no sampler of its own.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check opentelemetry-sdk==1.45.1 2>/dev/null
"$work/venv/bin/python" - <<'PY'
import random
from importlib.metadata import version

from opentelemetry.propagate import extract, inject
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace._sampling_experimental import (
    composable_parent_threshold,
    composable_traceid_ratio_based,
    composite_sampler,
)
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, TraceIdRatioBased
from opentelemetry.trace import SpanKind, set_span_in_context

print("opentelemetry-sdk", version("opentelemetry-sdk"))
REQUESTS = 8000
random.seed(12)


class Seeded(RandomIdGenerator):
    """Ids of a seeded generator, so that each run draws the same traces."""

    def generate_trace_id(self) -> int:
        return random.getrandbits(128) | 1

    def generate_span_id(self) -> int:
        return random.getrandbits(64) | 1


def weight(span) -> float | None:
    """The requests that a span stands for, by the threshold in its trace state; None where it has none."""
    entry = span.get_span_context().trace_state.get("ot") or ""
    for member in entry.split(";"):
        if member.startswith("th:"):
            return 2**56 / (2**56 - int(member[3:].ljust(14, "0"), 16))
    return None


def consistent(ratio: float):
    return composite_sampler(composable_parent_threshold(composable_traceid_ratio_based(ratio)))


gateway = TracerProvider(sampler=consistent(0.25), id_generator=Seeded()).get_tracer("gateway")
called = {
    "ordinary default": DEFAULT_ON,
    "consistent, by the parent": consistent(0.25),
    "ordinary ratio 1/2": TraceIdRatioBased(0.5),
}
tracers = {
    name: TracerProvider(sampler=sampler, id_generator=Seeded()).get_tracer(name) for name, sampler in called.items()
}
roots, children, spans = [], [], {name: [] for name in called}
for _ in range(REQUESTS):
    root = gateway.start_span("GET /", kind=SpanKind.SERVER)
    inside = set_span_in_context(root)
    if root.is_recording():
        roots.append(weight(root))
        children.append(weight(gateway.start_span("call", inside, kind=SpanKind.CLIENT)))
    headers: dict[str, str] = {}
    inject(headers, inside)
    for name, tracer in tracers.items():
        span = tracer.start_span("GET /", extract(headers), kind=SpanKind.SERVER)
        if span.is_recording():
            spans[name].append(weight(span))


def told(name: str, weights: list[float | None]) -> tuple[int, int, float]:
    known = [value for value in weights if value is not None]
    print(f"{name:<28} {len(weights):>5} spans, {len(known):>5} with a weight, which add up to {sum(known):>6.0f}")
    return len(weights), len(known), sum(known)


print("requests", REQUESTS)
sampled, known, total = told("gateway, root", roots)
assert known == sampled and abs(total - REQUESTS) < 400
assert told("gateway, below the root", children) == (sampled, 0, 0)
assert told("called: ordinary default", spans["ordinary default"]) == (sampled, sampled, total)
assert told("called: consistent", spans["consistent, by the parent"]) == (sampled, 0, 0)
half, known, total = told("called: ordinary ratio 1/2", spans["ordinary ratio 1/2"])
assert abs(half - REQUESTS / 2) < 200 and 0 < known < half / 2, (half, known)
assert set(spans["ordinary ratio 1/2"]) == {None, 4.0}, "2 would be true"

headers = {
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "vendor=1,ot=th:c",
}
kept = {
    name: dict(tracer.start_span("GET /", extract(headers)).get_span_context().trace_state)
    for name, tracer in tracers.items()
}
print("of tracestate", headers["tracestate"], "stays:", kept)
assert kept["ordinary default"] == {"vendor": "1", "ot": "th:c"}
assert kept["consistent, by the parent"] == {}, "the trace state reaches the sampler now"
PY
