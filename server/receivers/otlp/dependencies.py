"""What a request failed that failed: the call of it to another that failed first, where both came in one body."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from server.ingest.outcome import Outcome
from server.receivers.environment import NAME_MAX
from server.receivers.otlp.attributes import Attributes, attributes_of, text
from server.receivers.otlp.layers import BETWEEN_MAX
from server.receivers.otlp.routes import AUTHORITY
from server.receivers.otlp.wire import Message

PEERS = (
    "peer.service",
    "service.peer.name",
    "db.system.name",
    "db.system",
    "messaging.system",
    "server.address",
    "net.peer.name",
)


def name_dependencies(calls: Iterable[Message], requests: Mapping[bytes, Outcome], spans: Iterable[Message]) -> None:
    """Say of each request that failed which call of it failed first, as far as the spans between came with it."""
    parents = {span.span_id: span.parent_span_id for span in spans}
    for call in sorted(calls, key=lambda one: one.start_time_unix_nano or 0):
        above = call.parent_span_id
        for _ in range(BETWEEN_MAX):
            if not above or above in requests:
                break
            above = parents.get(above, b"")
        outcome = requests.get(above)
        if outcome is not None and outcome.dependency is None:
            outcome.dependency = peer_of(attributes_of(call)) or None


def peer_of(attributes: Attributes) -> str:
    """What a call went to."""
    named = text(attributes, *PEERS)
    if not named:
        url = AUTHORITY.match(text(attributes, "url.full", "http.url"))
        named = url[0].partition("://")[2].rpartition("@")[2] if url else text(attributes, "rpc.service")
    return named[:NAME_MAX]
