"""Spans to outcomes: which of them stand for a request that was handled here, and what they say of it.

Spans of kind SERVER and CONSUMER are requests. INTERNAL ones are none, though they may carry a status code too. Those
of kind CLIENT that failed tell on what a request failed that failed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from google.protobuf.message import DecodeError

from server.ingest.item_claims import ITEM_BYTES, SECOND_BYTES, item_of, items_in
from server.ingest.outcome import DURATION_MAX_MS, Outcome
from server.receivers.environment import NAME_MAX
from server.receivers.otlp.answered import ERROR, FAILED_FROM, error_class, http_ended, other_ended, rpc_ended
from server.receivers.otlp.attributes import (
    ATTRIBUTES_MAX,
    Attributes,
    ServiceProcess,
    attributes_of,
    first_text,
    process_of,
    text,
)
from server.receivers.otlp.consumed import is_asking
from server.receivers.otlp.dependencies import name_dependencies
from server.receivers.otlp.layers import REMOTE, SAYS_WHERE, InnerSpan, Layers, learn, outermost, repeats
from server.receivers.otlp.mounted import MOUNTING, MountedRequests, behind_mount
from server.receivers.otlp.packed import PackedResourceSpans, PackedScopeSpans, PackedSpan, PackedTraces, begin_of
from server.receivers.otlp.routes import (
    PYTHON,
    ROUTE_MAX,
    TORNADO,
    no_route,
    path_of,
    served_route,
    slashed,
    told_route,
)
from server.receivers.otlp.sampling import SampledSpan, weights_of
from server.receivers.otlp.wire import Message, require_few, unreadable

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5
REQUESTS, CALLS = (SERVER, CONSUMER), (CLIENT, PRODUCER)
Unpack = Callable[[Message], Message]
CONSUME = "CONSUME"
ID_BYTES = 8  # of a span
SECOND_NS = 1_000_000_000
SLICE = 256  # spans read before others get a turn
REQUEST_ID_MAX = 128
# FastAPI's own spans repeat those that its instrumentation makes around it, also for each mount.
NATIVE_FASTAPI = "fastapi"
AROUND_FASTAPI = frozenset({f"{PYTHON}fastapi", f"{PYTHON}asgi"})

REQUEST_IDS = ("http.request.header.x_request_id", "http.request.header.x-request-id")
# What attributes begin with of which one is read, where there is a route.
TELLING = frozenset(
    begin_of(name)
    for name in (
        *REQUEST_IDS,
        "http.request.method",
        "http.method",
        "http.request.method_original",
        "http.response.status_code",
        "http.status_code",
        "http.route",
        "url.scheme",
        "http.scheme",
        "rpc.system",
        "rpc.system.name",
        "rpc.grpc.status_code",
        "rpc.response.status_code",
    )
)
# Of these only how many segments they have: by that a route is whole, or a mount is missing.
PATHS = frozenset(map(begin_of, ("url.path", "http.target", "url.full", "http.url")))
LOOKED_AT = TELLING | PATHS
TIME_MAX = 2**64 - 1  # of protobuf; JSON has no bound, and what is as far away is refused
KNOWN_MAX = 5000  # kinds of requests that are remembered


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
        else (as_it_is,) * 3
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


def read_resource(
    resource_spans: Message, scopes: Unpack, unpack: Unpack, read: ReadSpans, packed: bool
) -> Iterator[None]:
    """The spans of one resource."""
    read.parts += 1 + len(resource_spans.scope_spans or ())
    require_few(read.parts)
    process, found, begun = process_of(resource_spans.resource), Related(), len(read.outcomes)
    by_scope = [(scope_of(one), one.spans or ()) for one in map(scopes, resource_spans.scope_spans or ())]
    around = not AROUND_FASTAPI.isdisjoint(name for name, _ in by_scope)
    for scope, spans in by_scope:
        told, alike = around and scope == NATIVE_FASTAPI, packed and scope != TORNADO
        framework = scope.startswith(PYTHON) or told
        for span in map(unpack, spans):
            read.spans += 1
            if not read.spans % SLICE:
                yield
            kind = span.kind
            if kind in REQUESTS:
                if kind == CONSUMER and is_asking(span, scope):
                    continue
                if told:
                    read.repeated += 1
                    found.mounted.look_inside(span)
                else:
                    take(span, scope, process, read, found, alike=alike and kind == SERVER)
            elif kind in CALLS and span.status.code == ERROR:
                found.calls.append(span)
            elif framework and kind == INTERNAL:
                found.mounted.look_inside(span)
    relate(found, lambda: [unpack(sent) for _, spans in by_scope for sent in spans], process.service, begun, read)


def relate(found: Related, spans: Callable[[], list[Message]], service: str, begun: int, read: ReadSpans) -> None:
    """Add to the outcomes from a place on, of one resource, what its other spans tell; `spans`: all of them."""
    found.mounted.name()
    if found.calls and found.requests:
        name_dependencies(found.calls, found.requests, spans())
    if found.layers.inner:
        found.layers.places |= places_of(read, begun)
        leave_out(repeats(found.layers, spans), service, begun, read, found)
    if found.sampling or read.one_in is not None:
        weigh(read, begun, found.sampling)


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
    """The places of outcomes of SERVER spans, from a place on, by the spans' ids, which their claims begin with."""
    items = items_in(bytes(read.item_claims[begun * ITEM_BYTES :]))
    return {
        item[SECOND_BYTES : SECOND_BYTES + ID_BYTES]: place
        for place, item in enumerate(items, begun)
        if read.outcomes[place].method != CONSUME
    }


def leave_out(above: Mapping[bytes, bytes], service: str, begun: int, read: ReadSpans, found: Related) -> None:
    """Leave out the spans that tell a request again, of the outcomes from a place on; what they know of it stays."""
    layers, gone = found.layers, set[int]()
    read.repeated += len(above)
    for span_id in above:
        place, outer = layers.places[span_id], layers.places.get(outermost(span_id, above))
        if place is None:
            read.abandoned[service] -= 1
            continue
        gone.add(place)
        if outer is not None and outer != place:
            learn(read.outcomes[outer], read.outcomes[place], routed=layers.knows_better(place, outer))
    kept = [place for place in range(begun, len(read.outcomes)) if place not in gone]
    items = items_in(bytes(read.item_claims[begun * ITEM_BYTES :]))
    read.outcomes[begun:] = [read.outcomes[place] for place in kept]
    read.item_claims[begun * ITEM_BYTES :] = b"".join([items[place - begun] for place in kept])
    said = found.sampling
    found.sampling = {new: said[place] for new, place in enumerate(kept, begun) if place in said}


def scope_of(scope_spans: Message) -> str:
    """The name of a scope; '' where it has none."""
    return (scope_spans.scope.name or "") if scope_spans.scope is not None else ""


def take(span: Message, scope: str, process: ServiceProcess, read: ReadSpans, found: Related, *, alike: bool) -> None:
    """Take a request's span; `alike`: it is told by its attributes alone, where they have its route."""
    told = told_before(span, scope) if alike else None
    if told is None:
        told = told_by(span, scope, attributes_of(span))
    layers = found.layers
    if span.parent_span_id and not (span.flags or 0) & REMOTE and span.kind == SERVER:
        local = bool((span.flags or 0) & SAYS_WHERE)
        layers.inner.append(InnerSpan((process.service, scope), span.span_id, span.parent_span_id, local))
    if told.status is None:
        read.abandoned[process.service] = read.abandoned.get(process.service, 0) + 1
        layers.places[span.span_id] = None
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
    read.item_claims += claim_of(span, start)
    if told.status >= FAILED_FROM:
        found.requests[span.span_id] = outcome


class ToldRequest(NamedTuple):
    """What attributes say of a request. `status` None: there was no answer. `route` empty: it is that of `path`, which
    begins with `mount` where that is known."""

    method: str
    route: str
    status: int | None
    path: str = ""
    mount: str = ""
    request_id: str | None = None
    error_class: str | None = None


def told_before(span: Message, scope: str) -> ToldRequest | None:
    """What was found for a span with the same attributes, of those that are looked at; None where there was none."""
    if span.events or len(span.attributes) > ATTRIBUTES_MAX:
        return None
    try:
        told = [
            one.count(b"/") if begin in PATHS else one
            for one in span.attributes
            if (begin := one[: 2 + one[1]]) in LOOKED_AT
        ]
        key = (span.status.code, scope in MOUNTING, *told)
    except IndexError:  # an empty attribute
        return None
    found = known.get(key)
    if found is None:
        attributes = attributes_of(span)
        found = told_by(span, scope, attributes)
        again = found.status is not None and found.status < FAILED_FROM and not found.request_id
        if again and found.route and found.route == slashed(text(attributes, "http.route")):
            if len(known) >= KNOWN_MAX:
                known.clear()
            known[key] = found
    return found


def told_by(span: Message, scope: str, attributes: Attributes) -> ToldRequest:
    """What a span says of its request."""
    told = request_of(span, scope, attributes)
    request_id = first_text(attributes, *REQUEST_IDS)[:REQUEST_ID_MAX] or None
    if told.status is None or told.status < FAILED_FROM:
        return told if request_id is None else told._replace(request_id=request_id)
    failed = (error_class(span, attributes) or "")[:NAME_MAX] or None
    return told._replace(request_id=request_id, error_class=failed)


def request_of(span: Message, scope: str, attributes: Attributes) -> ToldRequest:
    """The method, the route or path and the status of what a span stands for."""
    name = span.name or ""
    if span.kind == CONSUMER:
        return ToldRequest(CONSUME, name[:ROUTE_MAX] or "/", other_ended(span))
    if is_rpc(attributes):
        return ToldRequest("RPC", rpc_route(attributes, name), rpc_ended(span, attributes))
    method = text(attributes, "http.request.method", "http.method")
    if not method and is_other(attributes):
        return ToldRequest("CALL", name[:ROUTE_MAX] or "/", other_ended(span))
    if method == "_OTHER":
        method = text(attributes, "http.request.method_original") or method
    status, path = http_ended(span, attributes, scope), path_of(attributes, name)
    route = served_route(told_route(attributes, scope, name, path), status)
    behind = behind_mount(route, path) if scope in MOUNTING else ""
    if behind:
        return ToldRequest(method[:32] or "GET", "", status, route + behind, route)
    if route:
        path = ""
    return ToldRequest(method[:32] or "GET", route or ("" if path else no_route(status)), status, path)


def is_rpc(attributes: Attributes) -> bool:
    """Whether it is a call with a code of its own. What goes over plain HTTP, as Twirp, has an HTTP status."""
    rpc = "rpc.system" in attributes or "rpc.system.name" in attributes
    coded = "rpc.grpc.status_code" in attributes or "rpc.response.status_code" in attributes
    return coded or (rpc and "http.response.status_code" not in attributes and "http.status_code" not in attributes)


def is_other(attributes: Attributes) -> bool:
    """Whether nothing tells of HTTP; a WebSocket has no method."""
    return not any(name in attributes for name in ("url.scheme", "http.scheme", "url.path", "http.target")) and not any(
        name in attributes for name in ("http.response.status_code", "http.status_code", "http.route", "http.url")
    )


def rpc_route(attributes: Attributes, name: str) -> str:
    """/package.Service/Method."""
    service, method = text(attributes, "rpc.service"), text(attributes, "rpc.method")
    route = f"{service}/{method}" if service and method and "/" not in method else method or name
    return (route if route[:1] == "/" else f"/{route}")[:ROUTE_MAX]


known: dict[tuple[object, ...], ToldRequest] = {}


def claim_of(span: Message, start: int) -> bytes:
    """What a span is counted once by: its ids, which are random, in the second in which it started."""
    span_id, trace_id = span.span_id, span.trace_id
    known_by: bytes = span_id + trace_id[12:]
    if len(known_by) == 12 and len(span_id) == 8:
        return item_of(start // SECOND_NS, known_by)
    said = repr((trace_id, span_id, span.name, start, span.end_time_unix_nano)).encode()
    return item_of(start // SECOND_NS, blake2b(said, digest_size=12).digest())
