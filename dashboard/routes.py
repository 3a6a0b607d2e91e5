"""The pages at a glance: one table of addresses."""

from __future__ import annotations

from tornado.routing import URLSpec
from tornado.web import RequestHandler

from dashboard.live_handler import LiveHandler
from dashboard.now import NowPage
from dashboard.page import PageNotFound
from dashboard.sign_in import SignIn, SignOut, Welcome
from dashboard.stream import Hub
from server.parts import Parts

PAGES: tuple[tuple[str, type[RequestHandler]], ...] = (
    (r"/", NowPage),
    (r"/sign-in", SignIn),
    (r"/sign-out", SignOut),
    (r"/welcome", Welcome),
)


def routes(parts: Parts) -> list[URLSpec]:
    """Every page of a web process. An address under neither /api nor a page is a page not found."""
    live = URLSpec("/live", LiveHandler, {"parts": parts, "route": "/live", "hub": Hub(parts)})
    specs = [URLSpec(pattern, handler, {"parts": parts, "route": pattern}) for pattern, handler in PAGES]
    return [
        *specs,
        live,
        URLSpec(r"/(?!api/|health/|metrics$|static/).*", PageNotFound, {"parts": parts, "route": "page not found"}),
    ]
