"""Applications within applications: of a mounted one the span around it tells the path at which it is mounted, and no
more. Its own route is told by a span inside of that, where it comes in the same body; else the path is all there is."""

from __future__ import annotations

import re
from typing import NamedTuple

from server.ingest.outcome import Outcome
from server.receivers.otlp.attributes import attributes_of, text
from server.receivers.otlp.routes import PYTHON, ROUTE_MAX, bare, path_of, segments_of, slashed
from server.receivers.otlp.wire import Message

MOUNTING = frozenset({f"{PYTHON}fastapi", f"{PYTHON}starlette", "fastapi"})
CATCH_ALL = re.compile(r":path\}|<path:|\*")
INSIDE_MIN = 4  # attributes of a span that is a request within another: those of ASGI's messages have two


def behind_mount(route: str, path: str) -> str:
    """What stands in a path behind the route of a mounted application; '' where the route is that of the whole path."""
    ours, theirs = segments_of(route), segments_of(path)
    if len(theirs) <= len(ours) or not ours or "{" in ours[-1] or CATCH_ALL.search(route):
        return ""
    if any(our != their and our[:1] != "{" for our, their in zip(ours, theirs, strict=False)):
        return ""  # as behind a proxy that leaves its own prefix in the path
    return "/" + "/".join(theirs[len(ours) :])


def is_of(route: str, path: str) -> bool:
    """Whether a route is that of a whole path, by how many parts it has."""
    return len(segments_of(route)) == len(segments_of(path)) or bool(CATCH_ALL.search(route))


class Mounted(NamedTuple):
    """A request whose own route is not told yet; `mount` is what is known of it, if anything."""

    outcome: Outcome
    mount: str
    path: str


class MountedRequests:
    """Those of one resource, and what spans inside of others tell: the same path has the same route each time."""

    def __init__(self) -> None:
        self._requests: list[Mounted] = []
        self._inside: dict[tuple[str, str], dict[str, None]] = {}

    def add(self, outcome: Outcome, mount: str, path: str) -> None:
        """Remember a request that was answered."""
        self._requests.append(Mounted(outcome, mount, bare(path)))

    def look_inside(self, span: Message) -> None:
        """Remember what a span within another tells of a route; the innermost comes first."""
        if len(span.attributes or ()) < INSIDE_MIN:
            return
        attributes = attributes_of(span)
        route, method = text(attributes, "http.route"), text(attributes, "http.request.method", "http.method")
        if route and method:
            self._inside.setdefault((method, bare(path_of(attributes, ""))), {})[slashed(route)] = None

    def name(self) -> None:
        """Give each request its whole route, where what is inside has told it."""
        for outcome, mount, path in self._requests:
            inside = self._inside.get((outcome.method, path), {})
            for route in (*inside, "".join(reversed(inside))):
                if route and is_of(mount + route, path):
                    outcome.route = (mount + route)[:ROUTE_MAX]
                    break
