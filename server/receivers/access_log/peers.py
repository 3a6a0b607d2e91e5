"""Lines that tell of one request twice, known by the client's address and port: hypercorn's, daphne's."""

from __future__ import annotations

from server.receivers.access_log.entry import LeftKind, LeftLine, LoggedRequest, Read
from server.receivers.access_log.form import Found
from server.receivers.route_template import route_of

KEPT = 10_000
TWICE_US = (
    60_000_000  # the application that goes on after its client left ends within a minute, or its line is believed
)
WEBSOCKET = {"WSCONNECT": 101, "WSREJECT": 403}  # what the client was answered, in daphne's words


class Peers:
    """What was read of each address and port, for the last some thousands."""

    def __init__(self) -> None:
        self._left: dict[tuple[str, str], int] = {}  # who left, and when
        self._sockets: dict[tuple[str, str], None] = {}

    def judged(self, peer: str | None, request: str, found: Found, read: Read) -> Read:
        """The line as read, or what it is beside an earlier one of the same client."""
        if peer is None or not isinstance(read, LoggedRequest):
            return read
        if read.method.startswith("WS"):
            return self._websocket(peer, read)
        if read.status == 503 and (peer, read.route) in self._sockets:
            return LeftLine(LeftKind.OTHER, "a WebSocket that has ended is no request that failed")
        key = (peer, request)
        since = self._left.pop(key, None)
        if since is not None and 0 <= read.at - since <= TWICE_US:
            return LeftLine(LeftKind.OTHER, "it tells a second time of a request whose client left")
        if found.get("status") == "-":
            self._left[key] = read.at
            forget(self._left)
        return read

    def _websocket(self, peer: str, read: LoggedRequest) -> Read:
        self._sockets[peer, read.route] = None
        forget(self._sockets)
        status = WEBSOCKET.get(read.method)
        if status is None:
            return LeftLine(LeftKind.OTHER, "it tells of a WebSocket that was answered in another line")
        return read._replace(method="GET", status=status, unanswered=None, route=route_of(read.route))


def forget(kept: dict[tuple[str, str], int] | dict[tuple[str, str], None]) -> None:
    """Drop the oldest beyond the bound."""
    if len(kept) > KEPT:
        del kept[next(iter(kept))]
