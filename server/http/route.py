"""One address of the API. Apart from the table in routes.py, so that a domain's handlers can make theirs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tornado.routing import URLSpec

if TYPE_CHECKING:
    from server.http.handler import Handler
    from server.parts import Parts


@dataclass(frozen=True, slots=True)
class Route:
    """`path` is written as in OpenAPI; `{name}` matches one segment and is handed to the method by that name."""

    path: str
    handler: type[Handler]

    def spec(self, parts: Parts) -> URLSpec:
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.path))
        return URLSpec(pattern, self.handler, {"parts": parts, "route": self.path})


@dataclass(frozen=True, slots=True)
class AnywhereRoute(Route):
    """The same path at the end of any other: senders put theirs behind what people give them as an address."""

    def spec(self, parts: Parts) -> URLSpec:
        return URLSpec(f"(?:/.*)?{re.escape(self.path)}/?", self.handler, {"parts": parts, "route": self.path})
