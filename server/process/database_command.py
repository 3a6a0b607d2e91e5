"""`python -m server database COMMAND`: a program on the database, such as pg_dump, wherever the database is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from server.kernel.errors import ConfigurationError

if TYPE_CHECKING:
    from server.kernel.settings import Environment


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True)
def database(command: tuple[str, ...]) -> None:
    """Run one of PostgreSQL's programs on the database.

    As database pg_dump --file=x: it finds the service's database. The embedded one is started for its length where
    it does not run; its programs are found then. Exits as COMMAND does.
    """
    from server.kernel.settings import read_environment
    from server.process.command_database import database_for_command

    env = read_environment(for_database_only=True)
    with database_for_command(env) as url:
        around = inherited() | where(url) | {"PATH": programs(env)}
        try:
            status = subprocess.run(command, env=around, check=False).returncode
        except OSError as error:
            raise click.ClickException(f"{command[0]}: {error.strerror}") from None
    sys.exit(status)


def inherited() -> dict[str, str]:
    """The environment, without a service of libpq's: its file would outrank the address that we give."""
    return {name: value for name, value in os.environ.items() if name != "PGSERVICE"}


def where(url: str) -> dict[str, str]:
    """The address as libpq's own variables, PGHOST and so on: whoever names another database keeps the rest."""
    from psycopg.pq import Conninfo

    parts = ((one.envvar, one.val) for one in Conninfo.parse(url.encode()))
    return {name.decode(): value.decode() for name, value in parts if name and value}


def programs(env: Environment) -> str:
    """PATH with PostgreSQL's programs: those of the embedded database before, else behind, the system's."""
    from server.process.embedded import binary

    usual = os.environ.get("PATH", os.defpath)
    try:
        ours = str(Path(binary("psql")).parent)
    except ConfigurationError:
        return usual
    return f"{ours}:{usual}" if env.embedded or shutil.which("pg_dump") is None else f"{usual}:{ours}"
