"""Histograms and sampled spans to weights: what stands for a bucket, what cumulative series add, which points count."""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from math import ceil, log2
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.ingest.outcome import WEIGHT_MAX
from server.live.telemetry_store import Exact
from server.receivers.otlp.attributes import ServiceProcess
from server.receivers.otlp.histogram import Explicit, Exponential, Histogram, portions, since, spread, total
from server.receivers.otlp.measured import Counting, answered, bounds_of, chosen, ends_of, error_of, measured_of, pieces
from server.receivers.otlp.meters import KnownMeters, Meter, ReadMeter, readings
from server.receivers.otlp.metric_wire import METRICS
from server.receivers.otlp.points import NEW, BadPoint, MeteredSource, MetricPoint, digest_of, read_points
from server.receivers.otlp.records import sent_resources
from server.receivers.otlp.sampling import SampledSpan, threshold_weight, weights_of, whole
from tests.examples import examples

RECORDED = Path("/work/shared/data/otlp")
CASES = sorted(path for path in RECORDED.glob("*-metrics.*") if path.suffix != ".headers")
S = 1_000_000_000
NOW = 1_796_000_000 * S
NOTHING_KNOWN = KnownMeters({}, set(), {})
SDK = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

durations = st.lists(st.floats(0.0005, 40), min_size=1, max_size=40)


def explicit(took: list[float]) -> Explicit:
    counts = [0] * (len(SDK) + 1)
    for one in took:
        counts[next((place for place, bound in enumerate(SDK) if one <= bound), len(SDK))] += 1
    return Explicit(SDK, tuple(counts), sum(took))


def exponential(took: list[float], scale: int) -> Exponential:
    """As its data model says: the bucket i holds (g^i, g^(i+1)]."""
    places = Counter(ceil(log2(one) * 2**scale) - 1 for one in took)
    low, high = min(places), max(places)
    return Exponential(scale, low, tuple(places[place] for place in range(low, high + 1)), sum=sum(took))


@settings(max_examples=examples(100), deadline=None)
@given(durations, st.sampled_from([None, 0, 2, 4]), st.booleans())
def test_what_stands_for_a_bucket_is_as_wrong_as_it_says(took: list[float], scale: int | None, ends: bool) -> None:
    histogram: Histogram = explicit(took) if scale is None else exponential(took, scale)
    least, most = (min(took), max(took)) if ends else (None, None)
    told = portions(histogram, ms=1000, most_ms=86_400_000, least=least, most=most)
    assert sum(one.n for one in told) == len(took)
    if scale is not None:
        growth = 2 ** (2**-scale)
        assert max(one.error for one in told) <= (growth - 1) / (growth + 1) * 1.0001 or len(told) == 1
    left = sorted(took)
    for one in told:
        inside, left = left[: one.n], left[one.n :]
        for true in inside:
            bounded = most is not None or scale is not None or true <= SDK[-1]
            if bounded and one.low_ms:
                assert abs(one.duration_ms - true * 1000) <= one.error * true * 1000 * 1.0001
    if len(took) == 1:
        assert told[0].duration_ms == pytest.approx(took[0] * 1000)


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(durations, min_size=2, max_size=4), st.lists(st.integers(0, 6), min_size=4, max_size=4))
def test_readings_of_a_series_add_up_whatever_its_scale_becomes(added: list[list[float]], scales: list[int]) -> None:
    known, found, took = NOTHING_KNOWN, [], list[float]()
    for number, (more, scale) in enumerate(zip(added, sorted(scales, reverse=True), strict=False)):
        took += more
        (read,) = readings([point(exponential(took, scale), at=number + 1)], known)
        assert read.counting is not None
        assert total(read.counting.histogram) == len(more)
        assert {one for one, n in spans(read.counting.histogram).items() if n} == set(spans(exponential(more, scale)))
        found.append(read)
        known = known._replace(meters={read.reading.series: meter_of(read)})
    assert [read.reading.before for read in found[1:]] == [read.reading.time for read in found[:-1]]


def spans(histogram: Histogram) -> dict[int, int]:
    assert isinstance(histogram, Exponential)
    return {histogram.offset + place: n for place, n in enumerate(histogram.counts) if n}


def meter_of(read: ReadMeter) -> Meter:
    return Meter(read.reading.time, msgspec.msgpack.decode(read.reading.state, type=Explicit | Exponential))


def point(
    histogram: Histogram,
    at: int,
    *,
    start: int | None = 0,
    scope: str = "opentelemetry.instrumentation.flask",
    said: dict[str, Any] | None = None,
    source: bytes = b"a",
) -> MetricPoint:
    """A cumulative point; times in seconds after NOW."""
    attributes = {"http.request.method": "GET", "http.route": "/pay", "http.response.status_code": 200} | (said or {})
    process = ServiceProcess("shop", "v1", None)
    begun = 0 if start is None else NOW + start * S
    return MetricPoint(
        source=MeteredSource(process, source),
        scope=scope,
        scope_version="1",
        metric=NEW,
        ms=1000,
        attributes=attributes,
        start=begun,
        time=NOW + at * S,
        cumulative=True,
        histogram=histogram,
        least=None,
        most=None,
        series=digest_of(source.hex(), scope, "1", NEW, attributes, begun),
    )


def counted(found: list[ReadMeter]) -> list[int]:
    return [0 if one.counting is None else total(one.counting.histogram) for one in found]


def test_a_series_is_counted_from_its_start_only_by_who_was_there() -> None:
    five, eight = explicit([0.1] * 5), explicit([0.1] * 8)
    hour = 3600
    young, old = point(five, at=60, start=1), point(five, at=hour, start=1)
    assert counted(readings([young], NOTHING_KNOWN)) == [5]
    assert counted(readings([old], NOTHING_KNOWN)) == [0]
    assert counted(readings([old], NOTHING_KNOWN._replace(sources={b"a"}))) == [5]
    assert counted(readings([old], NOTHING_KNOWN._replace(services={"shop": NOW}))) == [5]
    assert counted(readings([old], NOTHING_KNOWN._replace(services={"shop": NOW + 2 * S}))) == [0]
    later = point(eight, at=hour + 60, start=1)
    assert counted(readings([later, old], NOTHING_KNOWN)) == [0, 3]
    meter = Meter(old.time, five)
    known = NOTHING_KNOWN._replace(meters={old.series: meter})
    (read,) = readings([later], known)
    assert read.counting == Counting(later, since(eight, five) or eight, old.time)
    assert readings([old], known) == []  # sent again
    assert readings([point(five, at=hour + 60, start=1)], known) == []  # nothing new
    assert readings([point(explicit([0.1] * 2), at=hour + 60, start=1)], known) == []  # of another that says it is this
    assert counted(readings([point(explicit([0.1] * 2), at=hour + 60, start=hour)], known)) == [2]  # began anew
    other_bounds = Explicit((1.0,), (9, 0))
    assert counted(readings([point(other_bounds, at=hour + 60, start=1)], known)) == [0]


def test_several_starts_live_at_once_and_one_without_a_start_may_be_reset() -> None:
    workers = [point(explicit([0.1] * n), at=60, start=n, source=b"same") for n in (1, 2, 3, 4)]
    assert len({one.series for one in workers}) == 4
    assert counted(readings(workers, NOTHING_KNOWN)) == [1, 2, 3, 4]
    untold = point(explicit([0.1] * 9), at=60, start=None)
    assert counted(readings([untold], NOTHING_KNOWN)) == [0]
    known = NOTHING_KNOWN._replace(meters={untold.series: Meter(untold.time, untold.histogram)})
    assert counted(readings([point(explicit([0.1] * 4), at=120, start=None)], known)) == [4]


def test_a_body_is_read_as_far_as_it_can_be() -> None:
    at = {"timeUnixNano": str(NOW), "startTimeUnixNano": NOW - S, "bucketCounts": ["1", 2], "explicitBounds": [0.5]}
    bad = [
        {"bucketCounts": [1]},
        {"explicitBounds": [2, 1], "bucketCounts": [1, 1, 1]},
        {"bucketCounts": [-1, 2]},
        {"timeUnixNano": 0},
        {"startTimeUnixNano": NOW + S},
        {"bucketCounts": [1] * 3000, "explicitBounds": list(range(2999))},
    ]
    good = [
        {},
        {"sum": None, "flags": None, "attributes": None},
        {"flags": 1},
        {"bucketCounts": [], "explicitBounds": None, "count": 7},
    ]
    sent = [at | one for one in bad + good]
    odd = {"histogram": {"dataPoints": [at], "aggregationTemporality": "AGGREGATION_TEMPORALITY_UNSPECIFIED"}}
    many = {"histogram": {"dataPoints": [at | {"bucketCounts": [2**62, 0]}], "aggregationTemporality": 1}}
    wide = {"exponentialHistogram": {"dataPoints": [at | {"scale": 30}], "aggregationTemporality": 2}}
    metrics = [{"histogram": {"dataPoints": sent, "aggregationTemporality": 2}}, odd, many, wide]
    named = [{"name": NEW, "unit": "s"} | one for one in metrics] + [{"name": "other", "gauge": {}}, {}]
    body: dict[str, list[Any]] = {"resourceMetrics": [{"scopeMetrics": [{"metrics": named}, {}], "unknown": 1}, {}]}
    nul = {"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "a\0b"}}]}}
    body["resourceMetrics"].append(nul | {"scopeMetrics": [{"metrics": named[:1]}]})
    found = points(json.dumps(body).encode(), json=True)
    unstorable = [found.pop() for _ in range(sum(not (one.get("flags") or 0) for one in sent))]
    assert all(isinstance(one, BadPoint) and "has a NUL" in one.reason for one in unstorable)
    assert len([one for one in found if isinstance(one, BadPoint)]) == len(bad) + 3
    read = [one for one in found if isinstance(one, MetricPoint)]
    assert [total(one.histogram) for one in read] == [3, 3, 7]  # what has ended is no point


def test_a_status_that_node_wrote_into_a_point_later_is_none() -> None:
    raised = {"http.request.method": "GET", "error.type": "TypeError"}
    ended = raised | {"http.response.status_code": 200}  # in the next export: nobody was sent it
    failed = {"http.request.method": "GET", "error.type": "500", "http.response.status_code": 500}
    found = points(node_body(raised, ended, failed), json=True)
    first, later, other = (one for one in found if isinstance(one, MetricPoint))
    assert first.series == later.series != other.series
    assert [answered(one).status for one in (first, later, other)] == [500, 500, 500]


def node_body(*said: dict[str, Any]) -> bytes:
    """A histogram of Node's with a request of each."""
    at = {"timeUnixNano": NOW, "startTimeUnixNano": NOW - S, "bucketCounts": [1, 0], "explicitBounds": [0.5]}
    sent = [at | {"attributes": [{"key": name, "value": value_of(one[name])} for name in one]} for one in said]
    metric = {"name": NEW, "unit": "s", "histogram": {"dataPoints": sent, "aggregationTemporality": 2}}
    scopes = [{"scope": {"name": "@opentelemetry/instrumentation-http"}, "metrics": [metric]}]
    return json.dumps({"resourceMetrics": [{"scopeMetrics": scopes}]}).encode()


def value_of(said: str | int) -> dict[str, str | int]:
    return {"intValue": said} if isinstance(said, int) else {"stringValue": said}


def test_what_was_counted_is_spread_over_its_time() -> None:
    begun, took = NOW, [0.03] * 100 + [3.0] * 2
    found = list(measured_of(Counting(point(explicit(took), at=60), explicit(took), begun)))
    assert len(found) == 6 + 2
    assert sum(one.weight for one in found) == 102
    assert {one.at for one in found} <= {(NOW + part * 10 * S) / 1e6 for part in range(1, 7)}
    assert ends_of(NOW, NOW + 86_400 * S, 1000)[-1] == NOW + 86_400 * S
    assert len(ends_of(NOW, NOW + 86_400 * S, 1000)) == 60
    assert pieces(2 * WEIGHT_MAX + 1) == [WEIGHT_MAX, WEIGHT_MAX, 1]
    assert pieces(0) == []
    assert spread(7, 3) == [2, 2, 3]


@pytest.mark.parametrize(
    ("scope", "said", "status"),
    [
        ("opentelemetry.instrumentation.wsgi", {}, 500),
        ("opentelemetry.instrumentation.aiohttp_server", {}, None),
        ("opentelemetry.instrumentation.aiohttp_server", {"error.type": "ValueError"}, 500),
        ("opentelemetry.instrumentation.aiohttp_server", {"error.type": "ClientConnectionResetError"}, None),
        ("opentelemetry.instrumentation.wsgi", {"error.type": "ConnectionResetError"}, 500),
        ("opentelemetry.instrumentation.flask", {"http.status_code": 404}, 404),
        ("opentelemetry.instrumentation.flask", {"http.status_code": "503"}, 503),
        ("@opentelemetry/instrumentation-http", {"http.status_code": 444}, None),  # restify: the client left
        ("deno", {}, None),
    ],
)
def test_a_point_without_a_status(scope: str, said: dict[str, Any], status: int | None) -> None:
    told = point(explicit([1]), at=1, scope=scope, said=said)
    told.attributes.pop("http.response.status_code")  # type: ignore[attr-defined]
    assert answered(told).status == status


@pytest.mark.parametrize(
    ("scope", "said", "route"),
    [
        ("flask", {"http.route": "/orders/<int:id>"}, "/orders/<int:id>"),
        ("django", {"http.target": "orders/<int:pk>"}, "/orders/<int:pk>"),
        ("django", {"http.target": r"^old/(?P<id>\d+)$"}, r"^old/(?P<id>\d+)$"),
        ("django", {"http.target": "/nope", "http.status_code": 404}, "(not found)"),
        ("asgi", {"http.target": "/items/{id}"}, "/items/{id}"),
        ("aiohttp_server", {"http.route": "", "http.status_code": 404}, "(not found)"),
        ("aiohttp_server", {"http.route": "_handle", "http.status_code": 404}, "(not found)"),
        ("asgi", {"http.route": "GET /orders/7", "http.status_code": 200}, "/orders/:id"),
        ("asgi", {"http.route": "GET /.env", "http.status_code": 404}, "(not found)"),
        ("wsgi", {"http.status_code": 200}, "(unknown)"),
        ("@opentelemetry/instrumentation-http", {"http.route": "/", "http.status_code": 404}, "(not found)"),
        ("@opentelemetry/instrumentation-http", {"http.route": "/", "http.status_code": 200}, "/"),
    ],
)
def test_the_route_of_a_point(scope: str, said: dict[str, Any], route: str) -> None:
    scope = scope if scope[0] == "@" else f"opentelemetry.instrumentation.{scope}"
    told = point(explicit([1]), at=1, scope=scope)._replace(attributes=said)
    assert answered(told).route == route


def test_how_exact_a_service_is() -> None:
    fine, coarse = ((exponential([0.05] * 9 + [one] * 3, scale), one) for scale, one in ((4, 1.1), (2, 1.1)))
    for (histogram, _), error in ((fine, 0.0217), (coarse, 0.0864)):
        told = measured_of(Counting(point(histogram, at=1), histogram, NOW))
        assert error_of((one.duration_ms, one.weight, one.within) for one in told) == pytest.approx(error, abs=0.0001)
    assert error_of([(1, 100, (0.0, 5.0)), (100, 101, None)]) == 0  # the slower half is exact
    assert error_of([(1, 100, (0.0, 5.0))]) == 1
    mine = point(explicit([1]), at=1)
    bounds = bounds_of([mine, mine._replace(histogram=Explicit((0.25, 0.5), (1, 0, 0)))])["shop"]
    assert bounds == (250.0, 500.0)
    known = Exact(latency_error=0.3, bounds_ms=bounds)
    assert [known.splits(each) for each in (300, 250, 20_000, 3)] == [(250.0, 500.0), None, None, (0.0, 250.0)]
    assert Exact().splits(300) is None


def test_only_one_metric_of_a_source_counts_and_only_of_scopes_that_count_right() -> None:
    new = point(explicit([1]), at=1)
    old = new._replace(metric="http.server.duration")
    tornado = new._replace(scope="opentelemetry.instrumentation.tornado")
    strange = new._replace(scope="theirs")
    choice = chosen([old, new, tornado, strange], lambda one: False)
    assert choice.points == [new]
    assert choice.aside == {
        ("shop", "OTHER_METRIC"): 1,
        ("shop", "SCOPE_COUNTS_WRONG"): 1,
        ("shop", "SCOPE_NOT_KNOWN"): 1,
    }
    assert chosen([old], lambda one: False).points == [old]
    assert chosen([new], lambda one: True).aside == {("shop", "SPANS_COUNT"): 1}
    others = [new._replace(scope=scope) for scope in ("io.opentelemetry.tomcat-10.0", "Microsoft.AspNetCore.Hosting")]
    assert chosen(others, lambda one: False).points == others
    fastapi = new._replace(scope="opentelemetry.instrumentation.fastapi")
    assert chosen([fastapi], lambda one: False).points == []  # its mounts may count twice
    assert chosen([fastapi, new._replace(scope="fastapi")], lambda one: False).points == [fastapi]


@pytest.mark.parametrize(
    ("state", "weight"),
    [
        ("ot=th:c", 4.0),
        ("vendor=1, ot=rv:abcdef;th:8", 2.0),
        ("ot=th:0", 1.0),
        ("", None),
        ("ot=th:xyz", None),
        ("bot=th:c", None),
        ("ot=th:123456789012345", None),
    ],
)
def test_the_threshold_of_a_sampler(state: str, weight: float | None) -> None:
    assert threshold_weight(state) == weight


def test_weights_are_whole_and_right_in_the_mean() -> None:
    seeds = [number.to_bytes(16, "big") for number in range(4000)]
    drawn = [whole(2.5, seed) for seed in seeds]
    assert set(drawn) == {2, 3}
    assert abs(sum(drawn) / len(drawn) - 2.5) < 0.05
    assert drawn == [whole(2.5, seed) for seed in seeds]
    root, child = (SampledSpan("ot=th:c", is_root, b"x") for is_root in (True, False))
    bare = SampledSpan("", False, b"x")
    assert weights_of([root, child], None) == ([4, 4], True)  # copied, by who samples no further
    assert weights_of([child, bare], None) == ([1, 1], False)
    assert weights_of([bare], None) == ([1], True)
    assert weights_of([bare, child], 10.0) == ([10, 10], True)
    assert weights_of([SampledSpan("ot=th:ffffffffffffff", True, b"x")], None) == ([WEIGHT_MAX], False)


def points(body: bytes, *, json: bool) -> list[MetricPoint | BadPoint]:
    """The points of a body."""
    found: list[MetricPoint | BadPoint] = []
    list(read_points(sent_resources(body, METRICS, json=json), found))
    return found


def recorded(path: Path) -> tuple[list[MetricPoint | BadPoint], dict[str, Any]]:
    """The points of a recorded body, and what was true."""
    body, headers = path.read_bytes(), path.with_suffix(".headers").read_text().lower()
    if "content-encoding: gzip" in headers:
        body = gzip.decompress(body)
    if "content-encoding: deflate" in headers:
        body = zlib.decompress(body)
    truth = json.loads((RECORDED / f"{path.name.split('-metrics')[0]}.truth.json").read_text())
    return points(body, json=path.suffix == ".json"), truth


@pytest.mark.skipif(not CASES, reason="the recordings are not here")
@pytest.mark.parametrize("path", CASES or [Path()], ids=lambda path: path.name)
def test_recorded_metrics_count_each_request_once_or_not_at_all(path: Path) -> None:
    found, truth = recorded(path)
    assert not [one for one in found if isinstance(one, BadPoint)]
    choice = chosen([one for one in found if isinstance(one, MetricPoint)], lambda one: False)
    read = readings([one for one in choice.points if one.cumulative], NOTHING_KNOWN)
    counting = [one.counting for one in read if one.counting is not None]
    counting += [Counting(one, one.histogram, one.start) for one in choice.points if not one.cumulative]
    got: Counter[tuple[str, int | None]] = Counter()
    for one in counting:
        was = answered(one.point)
        got[was.method, was.status] += sum(each.weight for each in measured_of(one))
    # WebSockets have no point, and what the client got of a request that it left is no status.
    true = Counter((one["method"], one["status"]) for one in truth["requests"] if one["status"] != 101)
    left = sum(n for (_, status), n in true.items() if not isinstance(status, int))
    told = Counter({key: n for key, n in true.items() if isinstance(key[1], int)})
    case = truth["case"]
    if case.startswith("tornado") or case == "fastapi-global":
        assert not got
        assert {reason for _, reason in choice.aside} == {"SCOPE_COUNTS_WRONG"}
        return
    assert not told - got
    # An ASGI server may tell nothing of who left.
    assert told.total() <= got.total() <= told.total() + left
    assert case.startswith("djangoasgi") or got.total() == told.total() + left
