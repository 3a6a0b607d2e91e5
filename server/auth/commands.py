"""`python -m server user …` and `… key …`: they work on DATABASE_URL or the embedded database, served or not."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import click

from server.kernel.errors import ApiError
from server.kernel.names import HOST
from server.kernel.terminal import say
from server.kernel.text import visible

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.auth.store import ApiKey

T = TypeVar("T")

NO_SUCH_TABLE = "42P01"


@click.group()
def user() -> None:
    """People who sign in."""


@user.command("create")
@click.argument("email")
@click.option("--role", default="viewer", show_default=True, help="viewer, responder, commander or admin")
def create_user(email: str, role: str) -> None:
    """Make a person.

    The password is asked for, or read from standard input.
    """
    from server.auth.identity import checked_role
    from server.auth.passwords import hashed
    from server.auth.people import checked_email, create_person

    with click_errors():
        email, role = checked_email(email), checked_role(role)
        stored = hashed(read_password(), [email])
    made = run(lambda connection: create_person(connection, email, stored, role, actor=actor()))
    say(f"{made.email} can sign in as {made.role}.", err=True)


@user.command("codes-off")
@click.argument("email")
def turn_codes_off(email: str) -> None:
    """Let somebody sign in by the password alone.

    For who has lost the authenticator and every recovery code.
    """
    from server.auth import second_step
    from server.auth.people import checked_email

    with click_errors():
        email = checked_email(email)
    had = run(lambda connection: second_step.turn_off_of(connection, email, actor=actor()))
    say(f"{email} {'signs in by the password alone now' if had else 'uses no codes; nothing was done'}.", err=True)


@click.group()
def key() -> None:
    """API keys."""


@key.command("create")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, required=True, help="ingest, read, act or admin; may be repeated")
@click.option("--service", "services", multiple=True, help="a service that it may send and act for; may be repeated")
@click.option("--sampled", type=float, default=1.0, help="the share of requests whose spans are sent, as 0.1")
def create_key(name: str, scopes: tuple[str, ...], services: tuple[str, ...], sampled: float) -> None:
    """Make a key: alone on standard output, this once."""
    from server.auth import keys

    made = run(lambda connection: keys.create_key(connection, name, scopes, services, actor=actor(), sampled=sampled))
    say(made.key)
    whose = f", for {', '.join(made.services)} alone" if made.services else ", for every service"
    say(f"Key {made.id}, {made.name}: {', '.join(made.scopes)}{whose}. It is not shown again.", err=True)


@key.command("list")
def list_keys() -> None:
    """Every key, the newest first."""
    from server.auth import store

    found = run(store.list_keys)
    rows = [("ID", "NAME", "BEGINS", "SCOPES", "SERVICES", "MADE", "STATE")]
    rows += [
        (
            str(k.id),
            k.name,
            k.prefix,
            ",".join(k.scopes),
            ",".join(k.services) or "every",
            f"{k.created_at:%Y-%m-%d %H:%M}",
            state(k),
        )
        for k in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@key.command("revoke")
@click.argument("which", metavar="ID")
def revoke_key(which: str) -> None:
    """End a key, by its id; every process refuses it within 5 s."""
    from server.auth import keys

    if not which.isdecimal():
        raise click.BadParameter("give the number that `key list` shows", param_hint="ID")
    ended = run(lambda connection: keys.revoke_key(connection, int(which), actor=actor()))
    say(f"{ended.name} ({ended.prefix}…) is revoked.", err=True)


def state(key: ApiKey) -> str:
    """The state of a key in words: in force, until when, or since when not."""
    from server.kernel import shared_clock
    from server.kernel.times import utc

    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d %H:%M}"
    if key.expires_at is not None:
        return f"{'expired' if key.expires_at <= utc(shared_clock.now()) else 'until'} {key.expires_at:%Y-%m-%d %H:%M}"
    return "in force"


def read_password() -> str:
    """Asked for twice on a terminal, else the first line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def actor() -> str:
    """The name under which commands are audited: cli:USER@HOST."""
    return f"cli:{getpass.getuser()}@{HOST}"


@contextmanager
def click_errors() -> Iterator[None]:
    """Raise our errors and the database's as ClickException: one sentence instead of a traceback."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except ApiError as error:
        raise click.ClickException(visible(error.detail)) from None
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == NO_SUCH_TABLE:
            raise click.ClickException(
                "The database has no tables of Evenkeel. Nothing was done. Set DATABASE_URL or DATA_DIR to what the "
                "server has, or start the server there once: it makes them."
            ) from None
        raise click.ClickException(f"The database does not answer as it should: {error.orig}") from None


def run(act: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Call `act` in one transaction on the database that the environment names; what it returns."""
    from server.kernel.settings import read_environment
    from server.process.command_database import database_for_command

    with click_errors(), database_for_command(read_environment(for_database_only=True)) as url:
        return asyncio.run(in_transaction(url, act))


async def in_transaction(url: str, act: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    from server.kernel.db import Database

    db = Database(url, "evenkeel command")
    try:
        async with db.act() as connection:
            return await act(connection)
    finally:
        await db.close()
