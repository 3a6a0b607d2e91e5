"""The route that a span is counted under: what is bounded, never a raw path."""

from __future__ import annotations

import re

from server.kernel.names import NOT_FOUND
from server.receivers.otlp.attributes import Attributes, text
from server.receivers.route_template import route_of

PYTHON = "opentelemetry.instrumentation."
TORNADO = f"{PYTHON}tornado"
ROUTE_MAX = 500
UNKNOWN = "(unknown)"  # neither a route nor a path came

PATHS = ("url.path", "http.target", "url.full", "http.url")  # the first that is told
SEGMENTS_MAX = 64  # of a path that are looked at
# What stands for one segment, as frameworks write it: `:id`, `{id}`, `[id]`, `<id>`, `<int:id>`.
ONE_SEGMENT = re.compile(r":\w+|\{\w+\}|\[\w+\]|<(?:(?:int|float|str|string|slug|uuid):)?\w+>")
AIOHTTP, LAMBDA = f"{PYTHON}aiohttp_server", f"{PYTHON}aws_lambda"
TELL_PATHS = frozenset({f"{PYTHON}asgi", LAMBDA})  # as routes: Litestar's WebSockets, and API Gateway's HTTP events
METHOD = re.compile(r"[A-Z]{3,16}")
CATCHES_ALL = re.compile(r"/?(?:\*{1,2}\w*|\{\*{1,2}\w*\}|\(\.\*\))")
AUTHORITY = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*")


def told_route(attributes: Attributes, scope: str, name: str, path: str) -> str:
    """The route of an HTTP request where it is told; '' where it is not, as of what was not found.

    Of a span's name only Tornado's is a route: those of ASGI and WSGI have the path in it. Litestar tells the path
    behind the method as its route, and aiohttp an empty one where nothing fits.
    """
    if "http.route" in attributes:
        told = text(attributes, "http.route")
        route = without_method(told)
        raw = bare(path) == route and (route != told or scope in TELL_PATHS)
        return "" if raw or is_name(route, scope) else whole_route(slashed(route), path)
    named = name.partition(" ")[2] if scope == TORNADO else ""
    return slashed(named) if named else ""


def served_route(route: str, status: int | None) -> str:
    """A route as far as somebody serves it: what catches all and answers 404 says only that nobody does, as Hono's
    middleware (`/*`) and Spring's files (`/**`)."""
    return "" if status == 404 and CATCHES_ALL.fullmatch(route) else route


def whole_route(route: str, path: str) -> str:
    """A route with what its application is mounted under, where that was left out, as hapi leaves out the prefix of a
    plugin: it has fewer segments than its path, and fits the end of it. '' where all that is told is `/`, of a longer
    path: that of middleware, as Express 4 says of what nobody serves.
    """
    said, sent = segments_of(route), segments_of(path)
    if len(sent) <= len(said):
        return route
    if not said:
        return ""
    head, tail = sent[: -len(said)], sent[-len(said) :]
    if said[0] == sent[0] or ONE_SEGMENT.fullmatch(said[0]) or not all(map(fits, said, tail)):
        return route
    return f"{route_of('/' + '/'.join(head))}{route}"[:ROUTE_MAX]


def segments_of(path: str) -> list[str]:
    return [part for part in path.partition("?")[0].split("/", SEGMENTS_MAX) if part]


def fits(said: str, sent: str) -> bool:
    """Whether a segment of a route stands for this one of a path; what may stand for several fits none."""
    return said == sent or ONE_SEGMENT.fullmatch(said) is not None


def without_method(route: str) -> str:
    """A route or path without the method that stands before it."""
    method, _, rest = route.partition(" ")
    return rest if rest[:1] == "/" and METHOD.fullmatch(method) else route


def is_name(route: str, scope: str) -> bool:
    """Whether what is told is no route: aiohttp's instrumentation up to 0.48 names the handler's function, and
    BlackSheep says Not Found."""
    return route[:1] not in ("", "/", "^", "(") and (scope == AIOHTTP or " " in route)


def bare(path: str) -> str:
    """A path without its query."""
    return path.partition("?")[0]


def path_of(attributes: Attributes, name: str) -> str:
    """The path of an HTTP request, as far as it is told."""
    path = text(attributes, *PATHS)
    if path:
        return AUTHORITY.sub("", path, count=1) or "/"
    named = name.partition(" ")[2]
    return named if named[:1] == "/" else ""


def no_route(status: int | None) -> str:
    """The route where neither it nor a path is told."""
    return NOT_FOUND if status == 404 else UNKNOWN


def slashed(route: str) -> str:
    """A route with its first slash, which Django leaves out; regular expressions stay as they are."""
    return (route if route[:1] in ("/", "^", "(") else f"/{route}")[:ROUTE_MAX]
