"""Spans to outcomes: which of them stand for a request that was handled here, and what they say of it.

Spans of kind SERVER and CONSUMER are requests. INTERNAL ones are none, though they may carry a status code too. Those
of kind CLIENT that failed tell on what a request failed that failed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain, islice
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from server.ingest.item_claims import ITEM_BYTES, SECOND_BYTES, item_of, items_in
from server.ingest.native import compiled
from server.ingest.outcome import DURATION_MAX_MS, Outcome
from server.receivers.environment import NAME_MAX
from server.receivers.otlp.answered import ERROR, FAILED_FROM
from server.receivers.otlp.attributes import ATTRIBUTES_MAX, ServiceProcess, attributes_of, process_of
from server.receivers.otlp.consumed import stands_for_none
from server.receivers.otlp.dependencies import name_dependencies
from server.receivers.otlp.layers import REMOTE, SAYS_WHERE, InnerSpan, Layers, learn, outermost, repeats
from server.receivers.otlp.mounted import INSIDE_MIN, MountedRequests
from server.receivers.otlp.packed import PackedResourceSpans, PackedScopeSpans, PackedSpan, PackedTraces
from server.receivers.otlp.routes import PYTHON
from server.receivers.otlp.sampling import SampledSpan, weights_of
from server.receivers.otlp.told import (
    CLIENT,
    CONSUME,
    CONSUMER,
    INTERNAL,
    PATH_BEGINS,
    PRODUCER,
    SERVER,
    TELLING,
    begin_of_key,
    known,
    told_before,
    told_by,
)
from server.receivers.otlp.wire import BROKEN, Message, held_in, require_few, span_of, unreadable

REQUESTS, CALLS = (SERVER, CONSUMER), (CLIENT, PRODUCER)
Unpack = Callable[[Message], Message]
ID_BYTES, TRACE_ID_BYTES = 8, 16  # of a span
SECOND_NS = 1_000_000_000
SLICE = 256  # spans read before others get a turn
LOOKED_THROUGH = 50_000  # spans of a resource that are looked through for what stands between two, in one turn
# FastAPI's own spans repeat those that its instrumentation makes around it, also for each mount.
NATIVE_FASTAPI = "fastapi"
AROUND_FASTAPI = frozenset({f"{PYTHON}fastapi", f"{PYTHON}asgi"})

TIME_MAX = 2**64 - 1  # of protobuf; JSON has no bound, and what is as far away is refused


@dataclass(slots=True)
class ReadSpans:
    """What spans say. `item_claims` has 16 bytes for each outcome; `spans`: all that were read.

    `route_of` has the route of a service's path that was answered with a status.
    """

    route_of: Callable[[str, str, int], str]
    one_in: float | None = None  # the user has stated that one in so many requests is sent
    outcomes: list[Outcome] = field(default_factory=list)
    item_claims: bytearray = field(default_factory=bytearray)
    abandoned: dict[str, int] = field(default_factory=dict)  # requests without an answer, by service
    sampled: set[str] = field(default_factory=set)  # services of whose spans nobody knows how many requests they are
    repeated: int = 0  # spans of a request that another scope or layer has told already
    spans: int = 0
    parts: int = 0  # resources and scopes


@dataclass(slots=True)
class Related:
    """What of one resource others tell of: requests that failed by span and calls to others, requests to mounted
    applications; and what says how its requests were sampled, by the place of the outcome."""

    requests: dict[bytes, Outcome] = field(default_factory=dict)
    calls: list[Message] = field(default_factory=list)
    mounted: MountedRequests = field(default_factory=MountedRequests)
    sampling: dict[int, SampledSpan] = field(default_factory=dict)
    layers: Layers = field(default_factory=Layers)


def read_spans(request: Message, read: ReadSpans) -> Iterator[None]:
    """Read a request's spans into `read`; stops now and then, for others to have a turn. ApiError BAD_REQUEST."""
    packed = isinstance(request, PackedTraces)
    resources, scopes, span = (
        (PackedResourceSpans.FromString, PackedScopeSpans.FromString, PackedSpan.FromString)
        if packed
        else (as_it_is, scope_in_json, span_of)
    )
    try:
        sent = request.resource_spans or ()
        require_few(len(sent))
        for place, resource_spans in enumerate(map(resources, sent), 1):
            yield from read_resource(resource_spans, scopes, span, read, packed)
            if not place % SLICE:
                yield
    except DecodeError as error:
        raise unreadable(error) from None


def as_it_is(sent: Message) -> Message:
    return sent


class JsonScopeSpans(NamedTuple):
    """The spans of a scope, each still in JSON."""

    scope: Message | None
    spans: list[Message]


def scope_in_json(sent: Message) -> Message:
    try:
        return JsonScopeSpans(sent.scope, held_in(sent.spans))
    except BROKEN as error:
        raise unreadable(error) from None


def read_resource(
    resource_spans: Message, scopes: Unpack, unpack: Unpack, read: ReadSpans, packed: bool
) -> Iterator[None]:
    """The spans of one resource."""
    read.parts += 1 + len(resource_spans.scope_spans or ())
    require_few(read.parts)
    process, found, begun = process_of(resource_spans.resource), Related(), len(read.outcomes)
    by_scope: list[tuple[str, Any]] = [
        (scope_of(one), one.spans or ()) for one in map(scopes, resource_spans.scope_spans or ())
    ]
    around = not AROUND_FASTAPI.isdisjoint(name for name, _ in by_scope)
    for name, spans in by_scope:
        scope, place = Scope(name, process, packed, around and name == NATIVE_FASTAPI), 0
        found.layers.scopes.append((len(read.outcomes), name))
        while place < len(spans):
            some = spans[place : place + SLICE - read.spans % SLICE]
            take_some(some, unpack, scope, read, found)
            place += len(some)
            read.spans += len(some)
            if not read.spans % SLICE:
                yield

    def first_spans() -> list[Message]:
        return [unpack(sent) for sent in islice(chain.from_iterable(spans for _, spans in by_scope), LOOKED_THROUGH)]

    relate(found, first_spans, process.service, begun, read)


def relate(found: Related, spans: Callable[[], list[Message]], service: str, begun: int, read: ReadSpans) -> None:
    """Add to the outcomes from a place on, of one resource, what its other spans tell; `spans`: them."""
    found.mounted.name()
    if found.calls and found.requests:
        name_dependencies(found.calls, found.requests, spans())
    if found.layers.inner:
        found.layers.places |= places_of(read, begun)
        leave_out(repeats(found.layers, spans), service, begun, read, found)
    if found.sampling or read.one_in is not None:
        weigh(read, begun, found.sampling)


class Scope(NamedTuple):
    """Whose spans they are. `told`: another scope tells them too."""

    name: str
    process: ServiceProcess
    packed: bool
    told: bool

    @property
    def looked_inside(self) -> bool:
        """Whether its INTERNAL spans may tell of mounted applications."""
        return self.told or self.name.startswith(PYTHON)


def take_some(spans: list[Message], unpack: Unpack, scope: Scope, read: ReadSpans, found: Related) -> None:
    """Take some spans of a scope."""
    place, looked_inside = 0, scope.looked_inside
    while place < len(spans):
        if compiled is not None and scope.packed and not scope.told:
            place += take_known(spans, place, scope, read, found)
            if place == len(spans):
                return
        span = unpack(spans[place])
        place += 1
        if span.kind == CONSUMER and stands_for_none(span, scope.name):
            continue
        if span.kind in REQUESTS:
            if scope.told:
                read.repeated += 1
                found.mounted.look_inside(span)
            else:
                take(span, scope, read, found)
        elif span.kind in CALLS and span.status.code == ERROR:
            found.calls.append(span)
        elif looked_inside and span.kind == INTERNAL:
            found.mounted.look_inside(span)


def take_known(spans: list[Message], place: int, scope: Scope, read: ReadSpans, found: Related) -> int:
    """Take spans from a place on, up to the first of which more is to be found out than is known; how many."""
    process, inner = scope.process, list[tuple[bytes, bytes, bool]]()
    taken = compiled.take_spans(
        spans,
        place,
        (TELLING, PATH_BEGINS, INSIDE_MIN if scope.looked_inside else ATTRIBUTES_MAX),
        (begin_of_key(scope.name), known),
        (process.service, process.version, process.instance),
        (read.outcomes, read.item_claims, found.requests, inner),
    )
    found.layers.inner += [InnerSpan((process.service, scope.name), *one) for one in inner]
    return taken


def weigh(read: ReadSpans, begun: int, said: Mapping[int, SampledSpan]) -> None:
    """Say of the outcomes from a place on, which are of one service, how many requests each stands for."""
    outcomes = read.outcomes[begun:]
    spans = [
        said.get(place) or SampledSpan("", False, (outcome.trace_id or "").encode())
        for place, outcome in enumerate(outcomes, begun)
    ]
    weights = weights_of(spans, read.one_in)
    for outcome, weight in zip(outcomes, weights.each, strict=True):
        outcome.weight = weight
    if outcomes and not weights.known:
        read.sampled.add(outcomes[0].service)


def places_of(read: ReadSpans, begun: int) -> dict[bytes, int]:
    """The places of outcomes of SERVER spans, from a place on, by the spans' ids; of copies that of the first, which is
    the one that counts."""
    found: dict[bytes, int] = {}
    for place, span_id in enumerate(ids_of(read, begun), begun):
        if read.outcomes[place].method != CONSUME:
            found.setdefault(span_id, place)
    return found


def ids_of(read: ReadSpans, begun: int) -> list[bytes]:
    """The ids of the spans of outcomes from a place on, which their claims begin with."""
    items = items_in(bytes(read.item_claims[begun * ITEM_BYTES :]))
    return [item[SECOND_BYTES : SECOND_BYTES + ID_BYTES] for item in items]


def leave_out(above: Mapping[bytes, bytes], service: str, begun: int, read: ReadSpans, found: Related) -> None:
    """Leave out the spans that tell a request again, of the outcomes from a place on, with all their copies; what they
    know of it stays."""
    layers = found.layers
    for span_id in above:
        place, outer = layers.places[span_id], layers.places.get(outermost(span_id, above))
        if place is not None and outer is not None and outer != place:
            learn(read.outcomes[outer], read.outcomes[place], routed=layers.knows_better(place, outer))
    unanswered = sum(1 for one in layers.inner if one.span_id in above and layers.places[one.span_id] is None)
    if unanswered:
        read.abandoned[service] -= unanswered
    kept = [place for place, span_id in enumerate(ids_of(read, begun), begun) if span_id not in above]
    read.repeated += unanswered + len(read.outcomes) - begun - len(kept)
    items = items_in(bytes(read.item_claims[begun * ITEM_BYTES :]))
    read.outcomes[begun:] = [read.outcomes[place] for place in kept]
    read.item_claims[begun * ITEM_BYTES :] = b"".join([items[place - begun] for place in kept])
    said = found.sampling
    found.sampling = {new: said[place] for new, place in enumerate(kept, begun) if place in said}


def scope_of(scope_spans: Message) -> str:
    """The name of a scope; '' where it has none."""
    return (scope_spans.scope.name or "") if scope_spans.scope is not None else ""


def take(span: Message, scope: Scope, read: ReadSpans, found: Related) -> None:
    """Take a request's span."""
    process, layers = scope.process, found.layers
    told = told_before(span, scope.name) if scope.packed and span.kind == SERVER else None
    if told is None:
        told = told_by(span, scope.name, attributes_of(span))
    if span.parent_span_id and not (span.flags or 0) & REMOTE and span.kind == SERVER and has_ids(span):
        local = bool((span.flags or 0) & SAYS_WHERE)
        layers.inner.append(InnerSpan((process.service, scope.name), span.span_id, span.parent_span_id, local))
    if told.status is None:
        read.abandoned[process.service] = read.abandoned.get(process.service, 0) + 1
        layers.places[span.span_id] = None
        layers.unanswered[span.span_id] = scope.name
        return
    if not told.route:
        layers.untold.add(len(read.outcomes))
    start, end = span.start_time_unix_nano or 0, min(max(span.end_time_unix_nano or 0, 0), TIME_MAX)
    trace_id = span.trace_id.hex()[:NAME_MAX] or None
    outcome = Outcome(
        service=process.service,
        route=told.route or read.route_of(process.service, told.path, told.status),
        method=told.method,
        status=told.status,
        duration_ms=min((end - start) / 1_000_000, DURATION_MAX_MS) if 0 < start < end else 0.0,
        timestamp=end / 1_000_000 if end else None,
        version=process.version,
        request_id=told.request_id or trace_id,
        error_class=told.error_class,
        instance=process.instance,
        trace_id=trace_id,
    )
    if span.trace_state:
        sampled = SampledSpan(span.trace_state, not span.parent_span_id, (trace_id or "").encode())
        found.sampling[len(read.outcomes)] = sampled
    if told.path:
        found.mounted.add(outcome, told.mount, told.path)
    read.outcomes.append(outcome)
    read.item_claims += claim_of(span, min(start, end or start))
    if told.status >= FAILED_FROM:
        found.requests[span.span_id] = outcome


def has_ids(span: Message) -> bool:
    """Whether its ids are as they should be, and it is counted by them."""
    return len(span.span_id) == ID_BYTES and len(span.trace_id) == TRACE_ID_BYTES


def claim_of(span: Message, start: int) -> bytes:
    """What a span is counted once by: its ids, which are random, in the second in which it started, or ended where
    that is earlier: one that starts far ahead would be kept for as long."""
    if has_ids(span):
        return item_of(start // SECOND_NS, span.span_id + span.trace_id[12:])
    said = repr((span.trace_id, span.span_id, span.name, start, span.end_time_unix_nano)).encode()
    return item_of(start // SECOND_NS, blake2b(said, digest_size=12).digest())
