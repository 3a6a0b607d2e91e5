"""Which points of histograms count as requests, and as what outcomes.

Spans come first: a histogram counts only where its service sends no spans, and where the code that fills it is known
to count every request once. Tried with version 0.66 of each (tests/receivers/otlp/test_points.py, docs/connect).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from server.ingest.outcome import DURATION_MAX_MS, WEIGHT_MAX
from server.receivers.access_log.entry import UNANSWERED
from server.receivers.otlp.answered import says_left
from server.receivers.otlp.attributes import DIGITS_MAX
from server.receivers.otlp.histogram import Explicit, Histogram, Portion, portions, spread
from server.receivers.otlp.points import BUCKETS_MAX, NEW, NODE, MetricPoint, PlainAttributes
from server.receivers.otlp.routes import PYTHON, is_name, no_route, served_route, slashed, without_method
from server.receivers.route_template import route_of as path_route

# What a request without a status is: its handler failed, or nobody knows.
COUNTS_RIGHT: dict[str, Literal["failed", "abandoned"]] = {
    f"{PYTHON}wsgi": "failed",
    f"{PYTHON}flask": "abandoned",
    f"{PYTHON}django": "abandoned",
    f"{PYTHON}asgi": "abandoned",
    f"{PYTHON}falcon": "abandoned",
    f"{PYTHON}pyramid.callbacks": "abandoned",
    f"{PYTHON}aiohttp_server": "abandoned",
    NODE: "abandoned",
    "deno": "abandoned",
    "Microsoft.AspNetCore.Hosting": "abandoned",
}
# Java's agent makes no span and no point of a server within a server: each request is measured by the outermost.
JAVA = "io.opentelemetry."
# Go's leaves out what panicked, and counts twice where a handler is wrapped within one that is.
OTELHTTP = "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
# What is refused or fails is counted twice by Tornado's, an error that was raised as 200 too; requests to mounted
# applications are counted twice by the others.
COUNTS_WRONG = {f"{PYTHON}tornado", f"{PYTHON}fastapi", f"{PYTHON}starlette", "fastapi", OTELHTTP}
# FastAPI itself tells of mounted applications only where the other does not: then that counts each request once.
ONCE_BESIDE = {f"{PYTHON}fastapi": "fastapi"}
PART_NS = 10_000_000_000  # requests between two points are spread over parts of 10 s, and not more than PARTS_MAX
PARTS_MAX = 60

Aside = Literal["SPANS_COUNT", "SCOPE_COUNTS_WRONG", "SCOPE_NOT_KNOWN", "OTHER_METRIC"]


class Choice(NamedTuple):
    """The points that count, and how many of each service do not, and why."""

    points: list[MetricPoint]
    aside: Counter[tuple[str, Aside]]


def chosen(points: Iterable[MetricPoint], sends_spans: Callable[[MetricPoint], bool]) -> Choice:
    """What counts of an export. Of a source with both metrics the newer one does."""
    aside: Counter[tuple[str, Aside]] = Counter()
    right: list[MetricPoint] = []
    every = list(points)
    beside = {(point.source.digest, point.scope) for point in every}
    for point in every:
        once = (point.source.digest, ONCE_BESIDE.get(point.scope)) in beside
        reason = why_aside(point, sends_spans, once=once)
        if reason is None:
            right.append(point)
        else:
            aside[point.source.process.service, reason] += 1
    newer = {point.source.digest for point in right if point.metric == NEW}
    kept: list[MetricPoint] = []
    for point in right:
        if point.metric == NEW or point.source.digest not in newer:
            kept.append(point)
        else:
            aside[point.source.process.service, "OTHER_METRIC"] += 1
    return Choice(kept, aside)


def why_aside(point: MetricPoint, sends_spans: Callable[[MetricPoint], bool], *, once: bool) -> Aside | None:
    """Why a point does not count by itself; None where it does. `once`: what its scope may count twice, it does not."""
    if point.scope in COUNTS_WRONG and not once:
        return "SCOPE_COUNTS_WRONG"
    if point.scope not in COUNTS_RIGHT and not point.scope.startswith(JAVA) and not once:
        return "SCOPE_NOT_KNOWN"
    return "SPANS_COUNT" if sends_spans(point) else None


class AnsweredPoint(NamedTuple):
    """What the requests of a point were. `status` None: abandoned, nobody knows whether they failed."""

    method: str
    route: str
    status: int | None


def answered(point: MetricPoint) -> AnsweredPoint:
    """By the newer or the older conventions."""
    said = point.attributes
    method = text_of(said, "http.request.method", "http.method") or "_OTHER"
    status = status_of(said)
    raised = text_of(said, "error.type")
    if status is None and (COUNTS_RIGHT.get(point.scope) == "failed" or (raised and not says_left(raised))):
        status = 500  # its handler raised: what the client got is the server's 500
    if status in UNANSWERED:
        status = None
    return AnsweredPoint(method[:32], route_of(point, status), status)


def text_of(said: PlainAttributes, *names: str) -> str:
    """The first of these that is a text with something in it."""
    return next((value for name in names if isinstance(value := said.get(name), str) and value), "")


def status_of(said: PlainAttributes) -> int | None:
    """A status from 100 to 599; None where none was told."""
    sent = said.get("http.response.status_code", said.get("http.status_code"))
    if isinstance(sent, str) and sent.isdecimal() and len(sent) <= DIGITS_MAX:
        sent = int(sent)
    return int(sent) if isinstance(sent, int | float) and 100 <= sent <= 599 else None


def route_of(point: MetricPoint, status: int | None) -> str:
    """The template, which stands in `http.target` of the older metric; there is no path to make one of."""
    said = point.attributes
    told = text_of(said, "http.route") or text_of(said, "http.target")
    route = without_method(told)
    if route != told and "{" not in route:  # Litestar's: the path
        return no_route(status) if status == 404 else path_route(route)
    nobody_serves = route == "/" and status == 404 and point.scope == NODE  # as Express 4 says it
    if nobody_serves or is_name(route, point.scope):
        return no_route(status)
    # Django's templates have no first slash: what has one is the path of what was not found.
    if not route or (point.scope == f"{PYTHON}django" and "http.route" not in said and route[0] == "/"):
        return no_route(status)
    return served_route(slashed(route), status) or no_route(status)


class Counting(NamedTuple):
    """What a point has counted: requests since `begun`, nanoseconds since 1970."""

    point: MetricPoint
    histogram: Histogram
    begun: int


class MeasuredRequests(NamedTuple):
    """`weight` requests that took about so long, in the 10 s before `at`, milliseconds since 1970; `within` are the
    borders of their bucket, None where it is exact."""

    at: float
    duration_ms: float
    weight: int
    within: tuple[float, float] | None


def measured_of(counting: Counting) -> Iterator[MeasuredRequests]:
    """What a point has counted: one for each bucket and 10 s."""
    found = portions_of(counting)
    ends = ends_of(counting.begun, counting.point.time, BUCKETS_MAX // max(1, len(found)))
    for portion in found:
        within = (portion.low_ms, portion.high_ms) if portion.low_ms < portion.high_ms else None
        for end, n in zip(ends, spread(portion.n, len(ends)), strict=True):
            for weight in pieces(n):
                yield MeasuredRequests(end / 1_000_000, portion.duration_ms, weight, within)


def portions_of(counting: Counting) -> list[Portion]:
    """What stands for each of its buckets."""
    point = counting.point
    return portions(counting.histogram, ms=point.ms, most_ms=DURATION_MAX_MS, least=point.least, most=point.most)


class MeasuredBuckets(NamedTuple):
    """How exact the latency of a service is: by how much what stands for the slower half of its requests may be wrong,
    as a share of the true duration, and the borders of explicit buckets."""

    error: float
    bounds_ms: tuple[float, ...]


def bounds_of(points: Iterable[MetricPoint]) -> dict[str, tuple[float, ...]]:
    """The borders of explicit buckets, by service; of a service with several histograms the coarsest."""
    found: dict[str, tuple[float, ...]] = {}
    for point in points:
        bounds = point.histogram.bounds if isinstance(point.histogram, Explicit) else ()
        before = found.get(point.source.process.service)
        if before is None or not before or 0 < len(bounds) < len(before):
            found[point.source.process.service] = tuple(bound * point.ms for bound in bounds)
    return found


def error_of(told: Iterable[tuple[float, int, tuple[float, float] | None]]) -> float:
    """By how much durations may be wrong from the median up: of each what stands for it, its weight and its bucket."""
    slowest = sorted(told, key=lambda one: -one[0])
    left, worst = sum(weight for _, weight, _ in slowest) / 2, 0.0
    for stands, weight, within in slowest:
        if left <= 0:
            break
        left -= weight
        if within is not None:
            low, high = within
            worst = max(worst, (high - stands) / high, (stands - low) / low if low else 1.0)
    return worst


def ends_of(begun: int, time: int, most: int) -> list[int]:
    """Where the parts of the time between two points end; nanoseconds since 1970, the last is the point's own."""
    parts = min(PARTS_MAX, max(1, most), max(1, round((time - begun) / PART_NS)))
    return [time - (time - begun) * (parts - 1 - part) // parts for part in range(parts)]


def pieces(n: int) -> Sequence[int]:
    """A number of requests as weights that outcomes may have."""
    whole, rest = divmod(n, WEIGHT_MAX)
    return [WEIGHT_MAX] * whole + [rest] * (rest > 0)
