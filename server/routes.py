"""The API at a glance: one table of URLs.

`path` is written as in OpenAPI; `{name}` matches one segment and is handed to the
handler's method by that name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tornado.web import URLSpec

from server.handler import Handler
from server.parts import Parts


@dataclass(frozen=True, slots=True)
class Route:
    """One address and its handler."""

    path: str
    handler: type[Handler]

    def spec(self, parts: Parts) -> URLSpec:
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.path))
        return URLSpec(pattern, self.handler, {"parts": parts, "route": self.path})


API: tuple[Route, ...] = ()
