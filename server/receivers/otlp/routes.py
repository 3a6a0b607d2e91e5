"""The route that a span is counted under: what is bounded, never a raw path."""

from __future__ import annotations

import re

from server.kernel.names import NOT_FOUND
from server.receivers.otlp.attributes import Attributes, text

TORNADO = "opentelemetry.instrumentation.tornado"
ROUTE_MAX = 500
UNKNOWN = "(unknown)"  # neither a route nor a path came

AUTHORITY = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*")


def told_route(attributes: Attributes, scope: str, name: str) -> str:
    """The route of an HTTP request where it is told; '' where it is not, as of what was not found.

    Of a span's name only Tornado's is a route: those of ASGI and WSGI have the path in it.
    """
    if "http.route" in attributes:
        return slashed(text(attributes, "http.route"))
    named = name.partition(" ")[2] if scope == TORNADO else ""
    return slashed(named) if named else ""


def path_of(attributes: Attributes, name: str) -> str:
    """The path of an HTTP request, as far as it is told."""
    path = text(attributes, "url.path", "http.target", "url.full", "http.url")
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
