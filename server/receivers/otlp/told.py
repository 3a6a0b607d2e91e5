"""What a span says of its request, and what is known of it before: spans that are alike say the same.

`known` has it by the scope and the attributes that are looked at, as they came. It is found by those alone, so that no
span says anything of another that has not all of them; the compiled part looks there first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from server.receivers.environment import NAME_MAX
from server.receivers.otlp.answered import FAILED_FROM, error_class, http_ended, other_ended, rpc_ended
from server.receivers.otlp.attributes import ATTRIBUTES_MAX, Attributes, first_text, text
from server.receivers.otlp.mounted import MOUNTING, behind_mount
from server.receivers.otlp.packed import KEY_FIRST, begin_of
from server.receivers.otlp.routes import (
    PATHS,
    ROUTE_MAX,
    TELL_PATHS,
    TORNADO,
    no_route,
    path_of,
    segments_of,
    served_route,
    slashed,
    told_route,
    without_method,
)
from server.receivers.otlp.wire import Message, attribute_of

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5
CONSUME = "CONSUME"
REQUEST_ID_MAX = 128
REQUEST_IDS = ("http.request.header.x_request_id", "http.request.header.x-request-id")
# What attributes begin with of which one is read, where there is a route and it is no remote procedure call.
TELLING = tuple(
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
        "error.type",
    )
)
# Of a path only how many segments it has, and the first: where they are no more than the route's, or begin as those,
# that is the whole route.
PATH_BEGINS = tuple(map(begin_of, PATHS))
BEGINS, BEGINS_OF_PATHS = frozenset(TELLING), frozenset(PATH_BEGINS)
RAW = TELL_PATHS | {TORNADO}  # scopes whose routes may be in names, or be paths
KNOWN_MAX = 5000  # kinds of requests that are remembered
KEY_MAX = 2000  # bytes of what one of them is known by


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


class KnownRequest(NamedTuple):
    """What is told of requests whose paths have at most so many segments, or the same first one."""

    told: ToldRequest
    segments: int
    first: bytes  # empty where that says nothing


known: dict[bytes, KnownRequest] = {}


def told_before(span: Message, scope: str) -> ToldRequest | None:
    """What is known of spans with the same attributes, of those that are looked at; None where more than those tell.

    It is found by those attributes alone, so that no span says anything of another that has not all of them.
    """
    if span.events or len(span.attributes) > ATTRIBUTES_MAX or scope in RAW:
        return None
    if not all(one[:1] == KEY_FIRST and one[1:] for one in span.attributes):
        return None
    telling = [one for one in span.attributes if one[: 2 + one[1]] in BEGINS]
    key = key_of(scope, span.status.code, telling)
    found = known.get(key)
    if found is None and len(key) <= KEY_MAX:
        found = known_request(span, scope, named(telling))
        if found is not None:
            if len(known) >= KNOWN_MAX:
                known.clear()
            known[key] = found
    if found is None:
        return None
    paths = named(one for one in span.attributes if one[: 2 + one[1]] in BEGINS_OF_PATHS)
    path = segments_of(path_of(paths, span.name))
    return found.told if len(path) <= found.segments or path[0].encode() == found.first else None


def known_request(span: Message, scope: str, telling: Attributes) -> KnownRequest | None:
    """What attributes say by themselves of a request whose path is as long as its route."""
    route = text(telling, "http.route")
    if "http.route" not in telling or is_rpc(telling) or without_method(route) != route:
        return None
    told = told_by(span, scope, {**telling, PATHS[0]: telling["http.route"]})
    if told.status is None or told.request_id or told.route != slashed(route):
        return None
    said = segments_of(told.route)
    return KnownRequest(told, len(said), said[0].encode() if said and scope not in MOUNTING else b"")


def named(attributes: Iterable[bytes]) -> dict[str, Message]:
    """Packed attributes by their names."""
    return {one.key: one.value for one in map(attribute_of, attributes)}


def begin_of_key(scope: str) -> bytes:
    """What keys of spans of a scope begin with."""
    name = scope.encode()
    return len(name).to_bytes(4, "big") + name


def key_of(scope: str, code: int, telling: Iterable[bytes]) -> bytes:
    """What a span is told by: its scope, the code of its status, and attributes, each with its length."""
    parts = [begin_of_key(scope), code.to_bytes(4, "big", signed=True)]
    for one in telling:
        parts += (len(one).to_bytes(4, "big"), one)
    return b"".join(parts)


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
