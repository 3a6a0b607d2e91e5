"""What is done to real processes, and undone again. Each is named as the table prints it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import psycopg

from server.process import embedded
from tests.process.test_disk_full import take_all
from tests.process.test_supervisor import gone
from tests.running import frozen
from tests.soak.place import Place, started
from tests.waiting import wait_for

Injected = Callable[[Place], AbstractContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """`lasts_s` seconds between injecting and healing. `of_database`: ingest has to go on."""

    name: str
    lasts_s: float
    inject: Injected
    of_database: bool = False


@contextmanager
def killed(place: Place, kind: str) -> Iterator[None]:
    """kill -9; the supervisor starts another."""
    os.kill(place.one_of(kind), signal.SIGKILL)
    yield


@contextmanager
def stopped(place: Place) -> Iterator[None]:
    """The database is away."""
    with away(place, place.cluster):
        yield


@contextmanager
def away(place: Place, cluster: embedded.Cluster) -> Iterator[None]:
    """One of the databases is."""
    place.immediate_stop(cluster)
    try:
        yield
    finally:
        embedded.start(cluster)


@contextmanager
def disk_full(place: Place) -> Iterator[None]:
    """The database's disk has no byte left: PostgreSQL ends by itself as soon as it needs a file for its log."""
    taken = take_all(place.disk)
    try:
        yield
    finally:
        taken.unlink()
        if embedded.postmaster_pid(place.cluster) is None:
            embedded.start(place.cluster)


@contextmanager
def exhausted(place: Place) -> Iterator[None]:
    """Somebody else has every connection, those of ours that are cut too."""
    held: list[psycopg.Connection[tuple[object, ...]]] = []
    with place.connect("postgres") as ours:
        ours.execute("ALTER SYSTEM SET log_min_messages = 'fatal'")
        ours.execute("SELECT pg_reload_conf()")
        with contextlib.ExitStack() as ended:
            for _ in range(3):
                ours.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'evenkeel'")
                with contextlib.suppress(psycopg.OperationalError):
                    while True:
                        held.append(ended.enter_context(place.connect("postgres")))
            yield


@contextmanager
def cut(place: Place) -> Iterator[None]:
    """Every connection of the server to the database ends, and again each half second."""
    with place.connect("postgres") as ours:
        end = time.monotonic() + 8
        while time.monotonic() < end:
            ours.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'evenkeel'")
            time.sleep(0.5)
    yield


@contextmanager
def locked(place: Place) -> Iterator[None]:
    """A migration that waits with its lock held."""
    with place.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE outcomes IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def stepped(place: Place, by_s: float) -> Iterator[None]:
    """The clock of one web process is set, and set back."""
    file = place.steps / str(place.one_of("web"))
    file.write_text(str(by_s))
    try:
        yield
    finally:
        file.write_text("0")


@contextmanager
def all_killed(place: Place) -> Iterator[None]:
    """kill -9 of supervisor, web and watch while the database is away; then all of it is started."""
    with stopped(place):
        time.sleep(3)  # something is spooled
        kill_server(place)
    start_server(place)
    yield


def kill_server(place: Place) -> None:
    """kill -9 of supervisor, web and watch."""
    children = place.server.children()
    os.killpg(place.server.process.pid, signal.SIGKILL)
    wait_for(lambda: all(gone(pid) for pid in children), "all of it to be dead")
    place.server.stop(signal.SIGKILL)


def start_server(place: Place) -> None:
    """The same server again."""
    kept = ("PORT", "REDIS_URL", "OUTCOMES_DATABASE_URL")
    same = {name: value for name, value in place.server.variables.items() if name in kept}
    place.server = started(place.root, place.disk, 1, **same)


FAULTS = (
    Fault("web process killed -9", 3, lambda place: killed(place, "web")),
    Fault("web process frozen", 8, lambda place: frozen([place.one_of("web")])),
    Fault("watch killed -9", 4, lambda place: killed(place, "watch")),
    Fault("watch frozen", 8, lambda place: frozen([place.one_of("watch")])),
    Fault("Redis frozen", 8, lambda place: frozen([place.redis.pid])),
    Fault("clock of a web process set 15 min ahead", 12, lambda place: stepped(place, 900)),
    Fault("clock of a web process set 15 min back", 12, lambda place: stepped(place, -900)),
    Fault("database stopped at once (-m immediate)", 2, stopped, of_database=True),
    Fault("database frozen", 12, lambda place: frozen(place.postgres()), of_database=True),
    Fault("connections cut for 8 s", 1, cut, of_database=True),
    Fault("connections exhausted", 12, exhausted, of_database=True),
    Fault("outcomes locked", 6, locked, of_database=True),
    Fault("database's disk full", 15, disk_full, of_database=True),
    Fault("database away", 60, stopped, of_database=True),
    Fault("everything killed -9, database away", 1, all_killed),
)
