"""Requests that two layers of one process tell, each by a SERVER span: that of Node's http and, below it, that of
Next.js or of Hono's middleware; a mux and a router in Go. The outer span is what the client got, and the request; the
inner one often knows the route, which the outer one does not.

A SERVER span stands for a request that came from outside: one below another SERVER span of the same resource is the
same request again. Where nobody says whether its parent is of the same process, as older SDKs do not, only if it is of
another scope: one of the same may be a call of the service to itself. Where the outer one came in another body, as of
an answer that streams, what decides is whether spans of its scope were seen below others, and whether the SDK says
that its parent is of the same process. That alone is not enough: not all who take a parent out of a header say that it
is of another one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

from server.ingest.outcome import Outcome
from server.receivers.otlp.answered import FAILED_FROM
from server.receivers.otlp.wire import Message

PLAIN = (0, 1)  # kinds of spans: not said, or INTERNAL
SCOPES_MAX = 5_000  # that are remembered
BETWEEN_MAX = 128  # spans between two that belong together
SAYS_WHERE, REMOTE = 0x100, 0x200  # of a span's flags: whether the parent's place is known, and is another process


class InnerSpan(NamedTuple):
    """A SERVER span whose parent may be of the same process; `local`: its SDK says that it is."""

    scope: tuple[str, str]  # with its service
    span_id: bytes
    parent: bytes
    local: bool


@dataclass(slots=True)
class Layers:
    """The SERVER spans of a resource that may be inner layers, and what is known of all of them: the place of the
    outcome of each, None where it was abandoned, and those whose route nobody told."""

    inner: list[InnerSpan] = field(default_factory=list)
    places: dict[bytes, int | None] = field(default_factory=dict)
    untold: set[int] = field(default_factory=set)
    scopes: list[tuple[int, str]] = field(default_factory=list)  # where the outcomes of each scope begin
    unanswered: dict[bytes, str] = field(default_factory=dict)  # the scopes of those that were abandoned

    def scope_of(self, span_id: bytes) -> str:
        """The scope of a span that has a place."""
        place = self.places[span_id]
        if place is None:
            return self.unanswered[span_id]
        return self.scopes[bisect_right(self.scopes, place, key=itemgetter(0)) - 1][1]

    def knows_better(self, inner: int, outer: int) -> bool:
        """Whether an inner layer knows the route and no layer before it did."""
        better = outer in self.untold and inner not in self.untold
        if better:
            self.untold.remove(outer)
        return better


def repeats(layers: Layers, spans: Callable[[], Iterable[Message]]) -> dict[bytes, bytes]:
    """The spans that tell a request again: what stands above each; b"" where that came in another body. `spans`: all
    of the resource, asked for where something stands between."""
    found: dict[bytes, bytes] = {}
    alone: list[InnerSpan] = []
    others: Mapping[bytes, Message] | None = None
    for span in layers.inner:
        above: bytes | None = span.parent
        if above in layers.places:
            if not span.local and layers.scope_of(above) == span.scope[1]:
                continue  # a service that calls itself
        else:
            if not span.local:
                continue
            if others is None:
                others = {one.span_id: one for one in spans()}
            above = above_of(span, layers, others)
        if above:
            found[span.span_id] = above
            remember(span.scope)
        elif above is not None:
            alone.append(span)
    return found | {span.span_id: b"" for span in alone if span.scope in below_others}


below_others: set[tuple[str, str]] = set()  # services and scopes of which spans were seen below others


def remember(scope: tuple[str, str]) -> None:
    if len(below_others) >= SCOPES_MAX:
        below_others.clear()
    below_others.add(scope)


def above_of(span: InnerSpan, layers: Layers, others: Mapping[bytes, Message]) -> bytes | None:
    """The SERVER span above one whose parent is of its process; b"": what is above it did not come; None: there is
    none, and a job began the request inside."""
    above = span.parent
    for _ in range(BETWEEN_MAX):
        if not above or above == span.span_id:
            break
        if above in layers.places:
            return above
        between = others.get(above)
        if between is None:
            return b""
        if between.kind not in PLAIN:
            break
        above = between.parent_span_id
    return None


def outermost(span_id: bytes, above: Mapping[bytes, bytes]) -> bytes:
    """The first layer of a request, as far as it came; of spans that stand above each other the one asked for."""
    found = span_id
    for _ in range(BETWEEN_MAX):
        if not above.get(found):
            return found
        found = above[found]
    return span_id


def learn(outer: Outcome, inner: Outcome, *, routed: bool) -> None:
    """What an inner layer knows of a request and the outer one does not."""
    if routed:
        outer.route = inner.route
    if outer.status >= FAILED_FROM:
        outer.error_class = outer.error_class or inner.error_class
        outer.dependency = outer.dependency or inner.dependency
