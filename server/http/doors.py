"""How connections come in: as many as there are files for, and those of strangers make room first.

A connection costs a file. A process keeps some for itself and some for health and pages, so that
whoever opens connections and says nothing, or sends slowly, keeps nobody else out.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
import time
from collections.abc import Callable
from typing import Any

from tornado.http1connection import HTTP1ConnectionParameters
from tornado.httpserver import HTTPServer, _HTTPRequestContext
from tornado.iostream import IOStream
from tornado.web import Application

from server.http.connection import FIRST_S, ServerConnection
from server.http.lean import Lean, LeanConnection

log = logging.getLogger("evenkeel.doors")

IDLE_KEEP_ALIVE_S = 95  # longer than a router's 90 s, so that it never sends into a closing connection
READ_AHEAD_MAX = 4 * 1024 * 1024  # bytes a connection
OWN_FILES = 160  # of a process: the database's connections, logs, metrics, what it serves
RESERVE = 64  # connections that only health and pages may use
CONNECTIONS_MAX = 8192
ACCEPTS = 128  # at a time, between other work
LEAST_S = 1.0  # that Tornado has for a head that has begun
PAUSE_S = 0.1  # after the system would not give us another file
FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def raise_file_limit() -> None:
    """As many files as the system lets this process have without asking."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_MAX + OWN_FILES
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def connections_max() -> int:
    """How many connections the limit on files leaves room for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return max(min(CONNECTIONS_MAX, soft - OWN_FILES), soft // 2)


Waiting = ServerConnection | LeanConnection


class BegunStream(IOStream):
    """A stream of a socket of which some was read already."""

    def __init__(self, sock: socket.socket, read: bytes, **given: Any) -> None:
        self._begun = read
        super().__init__(sock, **given)

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        if not self._begun:
            return super().read_from_fd(buf)
        size = min(len(buf), len(self._begun))
        buf[:size], self._begun = self._begun[:size], self._begun[size:]  # no view: it would hold all of it
        return size


class Doors(HTTPServer):
    """The server of one process. Give it the sockets to listen on with `add_sockets`."""

    def initialize(self, site: Application, lean: Lean) -> None:  # type: ignore[override]
        super().initialize(site, idle_connection_timeout=IDLE_KEEP_ALIVE_S, max_buffer_size=READ_AHEAD_MAX)
        self.lean = lean
        self.first_s, self.idle_s = FIRST_S, float(IDLE_KEEP_ALIVE_S)
        self.most = connections_max()
        self.usual = max(self.most - RESERVE, self.most // 2)
        # Connections that wait for the other side, the longest wait first.
        self._strangers: dict[Waiting, None] = {}
        self._known: dict[Waiting, None] = {}
        self._said_at = float("-inf")  # monotonic
        self._unsaid = 0

    def add_sockets(self, sockets: Any) -> None:
        """Listen on these from now on."""
        for sock in sockets:
            self._sockets[sock.fileno()] = sock
            self._handlers[sock.fileno()] = self._listen(sock)

    @property
    def open(self) -> int:
        """Connections that are open."""
        return len(self._connections)

    def rest(self) -> None:
        """Accept nothing until there are sockets again: others do."""
        for number in list(self._sockets):
            self._handlers.pop(number)()
            del self._sockets[number]

    def _listen(self, sock: socket.socket) -> Callable[[], None]:
        """Accept what comes; how to stop."""
        loop = asyncio.get_running_loop()
        stopped = False

        def ready() -> None:
            try:
                self._accept(sock)
            except OSError as error:
                self._full(f"the system gives no more files ({error.strerror})")
                self._make_room(known=True)
                loop.remove_reader(sock.fileno())
                loop.call_later(PAUSE_S, again)

        def again() -> None:
            if not stopped:
                loop.add_reader(sock.fileno(), ready)

        def stop() -> None:
            nonlocal stopped
            stopped = True
            loop.remove_reader(sock.fileno())

        sock.setblocking(False)
        again()
        return stop

    def _accept(self, sock: socket.socket) -> None:
        """What waits at the door; raises OSError where the system has no file for it."""
        for _ in range(ACCEPTS):
            try:
                connection, address = sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in FULL:
                    raise
                continue  # it went away while it waited
            self._let_in(connection, address)

    def _let_in(self, connection: socket.socket, address: Any) -> None:
        if not self._has_room():
            self._full(f"{len(self._connections)} connections are all at work")
            connection.close()
        elif len(self._connections) >= self.usual:
            self._handle_connection(connection, address)
        else:
            self._connections.add(LeanConnection(connection, address, self, self.lean))  # type: ignore[arg-type]

    def _has_room(self) -> bool:
        """Whether one more may come in, after a stranger that waits, or at the end anybody who waits, made room."""
        if len(self._connections) < self.usual or self._make_room(known=False):
            return True
        return len(self._connections) < self.most or self._make_room(known=True)

    def _make_room(self, *, known: bool) -> bool:
        """Close the connection that has waited longest, a stranger's first; False where none waits."""
        waiting = self._strangers or (self._known if known else {})
        longest = next(iter(waiting), None)
        if longest is None:
            return False
        self._full("connections that wait are closed")
        self.left(longest)
        longest.close_now()
        return True

    def _full(self, why: str) -> None:
        """Say so, once a second."""
        self._unsaid += 1
        now = time.monotonic()
        if now - self._said_at >= 1:
            log.warning("too many connections: %s", why, extra={"fields": {"times": self._unsaid, "most": self.most}})
            self._said_at, self._unsaid = now, 0

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        self._serve(stream, address, self.first_s)

    def _serve(self, stream: IOStream, address: Any, first_s: float, *, known: bool = False) -> None:
        """Let Tornado read requests from a stream, the head of the first one within so many seconds."""
        context = _HTTPRequestContext(stream, address, self.protocol, self.trusted_downstream)
        first = HTTP1ConnectionParameters(
            chunk_size=self.conn_params.chunk_size, header_timeout=first_s, max_body_size=self.conn_params.max_body_size
        )
        connection = ServerConnection(stream, self.conn_params, context, self, first)
        connection.known = known
        connection.reserve = len(self._connections) >= self.usual
        self._connections.add(connection)
        connection.start_serving(self)

    def take_over(self, connection: LeanConnection, sock: socket.socket, read: bytes, unsent: bytes) -> None:
        """Let Tornado go on with a connection, of which so much was read, and which has not taken all that was sent."""
        self.left(connection)
        stream = BegunStream(sock, read, max_buffer_size=self.max_buffer_size, read_chunk_size=self.read_chunk_size)
        if unsent:
            stream.write(unsent)
        left_s = connection.until - asyncio.get_running_loop().time()
        self._serve(stream, connection.address, max(left_s, LEAST_S), known=connection.known)

    def on_close(self, server_conn: object) -> None:
        assert isinstance(server_conn, ServerConnection)
        self.left(server_conn)

    def left(self, connection: Waiting) -> None:
        """It is closed, or another has its socket."""
        self._connections.discard(connection)
        self.works(connection)

    def waits(self, connection: Waiting) -> None:
        """The other side has to send something."""
        (self._known if connection.known else self._strangers).setdefault(connection)

    def works(self, connection: Waiting) -> None:
        """We have to answer."""
        self._strangers.pop(connection, None)
        self._known.pop(connection, None)

    def knows(self, connection: Waiting) -> None:
        """Who asks on it is known."""
        if connection in self._strangers:
            del self._strangers[connection]
            self._known[connection] = None
