"""A database that is away, for tests: real PostgreSQL that refuses connections, or writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from server.kernel import shared_clock
from server.process.degraded import degraded
from server.selfcheck.degrade import Degraded
from tests.site import Site


def seen(site: Site) -> dict[str, Degraded]:
    """The degrade modes that a process sees Evenkeel in, by their names, without a watch, of which few have one."""
    found = degraded(site.parts, shared_clock.now())
    return {one.mode.name: one for one in found if one.mode.part != "watch"}


def administer(url: str, statement: str) -> None:
    """Change the database from outside, and end all its connections, so that the change holds for everybody."""
    name = conninfo_to_dict(url)["dbname"]
    with psycopg.connect(make_conninfo(url, dbname="postgres"), autocommit=True) as connection:
        connection.execute(statement.format(name))  # type: ignore[call-overload]
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))


@contextmanager
def away(url: str) -> Iterator[None]:
    """It is gone: nobody is let in."""
    administer(url, "ALTER DATABASE {} ALLOW_CONNECTIONS false")
    try:
        yield
    finally:
        administer(url, "ALTER DATABASE {} ALLOW_CONNECTIONS true")


@contextmanager
def read_only(url: str) -> Iterator[None]:
    """It takes no writes, as a standby."""
    administer(url, "ALTER DATABASE {} SET default_transaction_read_only = on")
    try:
        yield
    finally:
        administer(url, "ALTER DATABASE {} RESET default_transaction_read_only")
