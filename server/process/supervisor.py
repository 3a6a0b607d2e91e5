"""One socket, the web processes, the watch process, the embedded database.

`python -m server` is this small parent. It binds once and forks before any event
loop exists (TRAPS: Processes), restarts what dies, and stops everything in order:
web and watch first, the database last.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import IO, Any

from tornado.netutil import bind_sockets

from server.kernel.errors import ConfigurationError
from server.kernel.settings import Environment
from server.process import embedded, event_loop
from server.process.ready import ReadyFlag
from server.process.reserve import Reserve

log = logging.getLogger("evenkeel.supervisor")

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
STOP_WITHIN_S = 24.0  # a PaaS kills after 30 s; the contract says 25
BACKOFF_S = (0.1, 10.0)
LIVED_LONG_S = 30.0
LOOK_S = 0.5  # between two looks at the embedded database and the disk
PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
EX_CONFIG = 78  # sysexits.h: starting again would not help

Run = Callable[[], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class Child:
    """One process that is kept alive."""

    name: str
    run: Run
    flag: ReadyFlag | None = None  # of a web process: that it has started
    pid: int = 0
    born: float = 0.0
    backoff_s: float = BACKOFF_S[0]
    due: float = 0.0  # when to start it again, on the monotonic clock


@dataclass(slots=True)
class Supervisor:
    """The children, the sockets they share, the database where it is ours, and the process that prints the start."""

    children: list[Child]
    sockets: list[socket.socket]
    cluster: embedded.Cluster | None
    reserve: Reserve
    announcer: int = 0
    terminals: list[int] = field(default_factory=lambda: [fd for fd in (0, 1, 2) if os.isatty(fd)])
    stopping: bool = False
    misconfigured: str = ""  # the child that cannot run on this configuration

    def run(self) -> None:
        """Keep everything alive until a signal says stop; return when all of it has stopped."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        while not self.stopping:
            self.start_due()
            found = signal.sigtimedwait(SIGNALS, self.rest_s())
            if found is not None:
                self.hear(found.si_signo)
            self.collect()
            if self.cluster is not None and not self.stopping:
                self.keep_reserve()  # first: a database that has ended on a full disk needs room to start
                self.keep_database(self.cluster)
        self.stop()
        if self.misconfigured:
            raise ConfigurationError(f"{self.misconfigured} cannot run on this configuration; its last line says why.")

    def rest_s(self) -> float:
        """How long to wait for a signal. One comes when a child dies, none when the database does."""
        due = [child.due - time.monotonic() for child in self.children if child.pid == 0]
        return max(0.0, min([LOOK_S, *due]))

    def hear(self, number: int) -> None:
        """Stop, or on SIGHUP have every process take in the policy file, unless it says that our terminal has gone."""
        if number == signal.SIGHUP and not hung_up(self.terminals):
            for child in self.children:
                if child.pid:
                    os.kill(child.pid, signal.SIGHUP)
        elif number != signal.SIGCHLD:
            self.stopping = True

    def start_due(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if child.pid == 0 and now >= child.due:
                child.pid, child.born = fork(child), now

    def collect(self) -> None:
        """Reap the dead and set when they start again."""
        if self.announcer:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.announcer, os.WNOHANG)
        for child in self.children:
            if child.pid == 0:
                continue
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid == 0:
                continue
            if os.WIFEXITED(status) and os.WEXITSTATUS(status) == EX_CONFIG:
                self.misconfigured, self.stopping = child.name, True
            now = time.monotonic()
            child.backoff_s = BACKOFF_S[0] if now - child.born > LIVED_LONG_S else child.backoff_s
            if not self.stopping:
                log.error("%s (pid %d) %s; starting it again in %g s", child.name, pid, ended(status), child.backoff_s)
            if child.flag is not None:
                child.flag.set(False)
            child.pid, child.due = 0, now + child.backoff_s
            child.backoff_s = min(child.backoff_s * 2, BACKOFF_S[1])

    def keep_database(self, cluster: embedded.Cluster) -> None:
        if embedded.postmaster_pid(cluster) is not None:
            return
        log.error("the embedded database is gone; starting it again")
        try:
            embedded.start(cluster)
        except (ConfigurationError, OSError) as error:
            log.error("%s", error)

    def keep_reserve(self) -> None:
        """What goes wrong is tried again at the next turn."""
        try:
            self.reserve.keep()
        except OSError as error:
            log.warning("the reserve of disk space: %s", error)

    def stop(self) -> None:
        """No new connections, SIGTERM to the children, SIGKILL to what is left at the limit, then the database."""
        close(self.sockets)
        deadline = time.monotonic() + STOP_WITHIN_S
        for child in self.children:
            if child.pid:
                os.kill(child.pid, signal.SIGTERM)
        while any(child.pid for child in self.children):
            signal.sigtimedwait((signal.SIGCHLD,), 0.1)
            self.collect()
            if time.monotonic() > deadline:
                for child in self.children:
                    if child.pid:
                        log.error("%s (pid %d) did not stop in %g s: killed", child.name, child.pid, STOP_WITHIN_S)
                        os.kill(child.pid, signal.SIGKILL)
        if self.cluster is not None:
            embedded.stop(self.cluster)


def hung_up(terminals: list[int]) -> bool:
    """Whether these were terminals and are none any more: somebody closed the window that we ran in."""
    return bool(terminals) and not any(os.isatty(fd) for fd in terminals)


def fork(child: Child) -> int:
    """Start a child; its pid. The child never returns from here."""
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        follow(parent)
        entitle(child.name)
        event_loop.run(child.run())
        status = 0
    except ConfigurationError as error:
        log.error("%s", error)
        status = EX_CONFIG
    except BaseException:
        log.exception("%s ended by an error", child.name)
    finally:
        logging.shutdown()
        os._exit(status)


def follow(parent: int) -> None:
    """In the child: die with the parent, leave Ctrl-C to it, and hear the other signals again."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    if os.getppid() != parent:  # it died before prctl
        os._exit(1)


def entitle(name: str) -> None:
    """Show the name where processes are listed, `ek:web.1`, so that a person can tell and signal one."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_NAME, f"ek:{name}".encode()[:15])


def ended(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"was ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"ended with status {os.WEXITSTATUS(status)}"


def bind(env: Environment) -> list[socket.socket]:
    """The listening socket that every web process shares."""
    try:
        return bind_sockets(env.port, env.host, backlog=2048)
    except OSError as error:
        raise ConfigurationError(
            f"Port {env.port} on {env.host} cannot be opened ({error.strerror}); set PORT to another one."
        ) from None


def close(sockets: list[socket.socket]) -> None:
    """Close our end: a connection is refused only when nobody holds the socket any more."""
    for listening in sockets:
        listening.close()


def hold(env: Environment) -> IO[str]:
    """The lock that one supervisor a DATA_DIR holds for its life."""
    env.data_dir.mkdir(parents=True, exist_ok=True)
    file = (env.data_dir / "supervisor.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConfigurationError(
            f"Another Evenkeel runs on {env.data_dir}; stop it, or set DATA_DIR and PORT for a second one."
        ) from None
    return file
