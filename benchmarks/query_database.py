"""A database of the benchmark's own beside the real one, removed afterwards."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator

import psycopg
from psycopg import sql
from sqlalchemy import make_url

PREFIX = "evenkeel_bench_"


@contextlib.contextmanager
def own_database(url: str) -> Iterator[str]:
    """A new, empty database on the server of `url`; its address. Dropped on leaving, whatever happened."""
    name = PREFIX + secrets.token_hex(4)
    with psycopg.connect(url, autocommit=True) as connection:
        remove_left_behind(connection)
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield make_url(url).set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def remove_left_behind(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Databases of runs that were killed; one that is in use stays."""
    found = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (PREFIX,)).fetchall()
    for row in found:
        with contextlib.suppress(psycopg.errors.ObjectInUse, psycopg.errors.InvalidCatalogName):
            connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(str(row[0]))))
