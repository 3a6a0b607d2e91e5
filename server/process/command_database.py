"""The database of one command: the one that runs, or the embedded one, started for as long as the command takes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg

from server.kernel.errors import ConfigurationError
from server.kernel.settings import Environment
from server.process.embedded import cluster, leave, start


@contextlib.contextmanager
def database_for_command(env: Environment) -> Iterator[str]:
    """A libpq URL for one command: around a pooler, or the embedded database, started for its length where need be.

    None is made: a command that is not told the server's DATA_DIR would work on an empty one.
    """
    if env.session_url is not None:
        yield env.session_url
        return
    place = cluster(env)
    if not (place.data / "PG_VERSION").exists():
        raise ConfigurationError(
            f"There is no database in {env.data_dir}. Nothing was done. Set DATA_DIR (or DATABASE_URL) to what the "
            "server has; where there is no server yet, start it once: `make run`."
        )
    start(place)
    try:
        yield place.url
    finally:
        leave(place)  # to a server that started during the command, if one did


def reached(env: Environment) -> str | None:
    """The database's URL where one answers; for what never starts or makes one."""
    url = env.session_url or cluster(env).url
    try:
        with psycopg.connect(url, connect_timeout=3):
            return url
    except psycopg.OperationalError:
        return None
