"""`python -m server change start|finish …`: tells of a change over HTTP, for pipelines.

Needs the standard library and click alone, as the gate's command does. What goes on is said on the error output; the
output is the number of the change.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import click

from server.kernel.remote import NotAsked, call, not_evenkeel, parsed
from server.kernel.remote_command import CANNOT_BE_ASKED, Remote, asks
from server.kernel.terminal import say, say_table
from server.kernel.text import percent

BASE = "/api/v1/changes"
HEAD = ("CHANGE", "AT", "KIND", "SERVICE", "VERSION", "STATE", "SINCE", "BY", "SUMMARY")
SHOWN = ("kind", "service", "version", "state", "at", "finished", "actor", "author", "migration", "link", "summary")
KINDS = ["deploy", "scale", "flag", "other"]
MIGRATIONS = ["none", "reversible", "irreversible", "unknown"]


@click.group()
def change() -> None:
    """Changes: list them, tell of one from a pipeline.

    Asks EVENKEEL_URL with EVENKEEL_API_KEY, a key of the scopes read and act.
    """


@change.command("list")
@click.option("--service", default="", help="its own, and those that touch every service")
@click.option("--since", default="", metavar="TIME", help="RFC 3339; else the last 24 hours")
@asks
def list_(site: Remote, service: str, since: str) -> None:
    """What altered production, newest first.

    SINCE is what fails since it, and before it.
    """
    query = urlencode({name: value for name, value in (("service", service), ("since", since)) if value})
    found = site.get(f"{BASE}?{query}")
    site.show(found, lambda: people(found["changes"]))


def people(changes: list[dict[str, Any]]) -> None:
    """A row a change."""
    say_table(HEAD, [row(one) for one in changes])
    if not changes:
        say("No change in that time.", err=True)


def row(one: dict[str, Any]) -> tuple[str, ...]:
    """One change."""
    by = one["actor"] or one["author"]
    named = (str(one["id"]), one["at"], one["kind"], one["service"], one["version"], one["state"])
    return (*named, verdict(one), by, one["summary"])


def verdict(one: dict[str, Any]) -> str:
    """`worse: 4.1 % (0.1 %)`: what fails since against before; empty where that is not compared."""
    found = one["verdict"]
    if not found:
        return ""
    words = found["finding"].replace("_", " ")
    return f"{words}: {percent(ratio(found, 'bad', 'n'))} ({percent(ratio(found, 'other_bad', 'other_n'))})"


def ratio(found: dict[str, Any], bad: str, n: str) -> float | None:
    """A share of a verdict; None: nothing was counted."""
    return found[bad] / found[n] if found[n] else None


@change.command()
@click.argument("number", type=int)
@asks
def show(site: Remote, number: int) -> None:
    """One change."""
    found = site.get(f"{BASE}/{number}")
    rows = [(name, str(found[name])) for name in SHOWN if found[name]]
    site.show(found, lambda: say_table(("CHANGE", str(found["id"])), [*rows, ("since", verdict(found))]))


def described(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which change it is."""
    for option in reversed(
        (
            click.option("--service", required=True, help="the service that it goes to"),
            click.option("--version", required=True, help="what senders write as version"),
            click.option("--kind", default="deploy", type=click.Choice(KINDS), show_default=True),
            click.option("--summary", default="", help="what it is, in a few words"),
            click.option("--actor", default="", help="who made it"),
            click.option("--link", default="", help="where to read more, as the run of the pipeline"),
            click.option("--migration", default="unknown", type=click.Choice(MIGRATIONS), show_default=True),
        )
    ):
        command = option(command)
    return command


@change.command()
@described
@asks
def start(site: Remote, **given: str) -> None:
    """It is under way. Prints its number."""
    tell(site, given, "started")


@change.command()
@described
@click.option("--failed", is_flag=True, help="it did not work")
@asks
def finish(site: Remote, failed: bool, **given: str) -> None:
    """It has ended. Prints its number.

    The one that was started for this service and version, or one that nobody has told of.
    """
    tell(site, given, "failed" if failed else "finished")


def tell(site: Remote, given: dict[str, str], state: str) -> None:
    """Print the number of the change; says why where it cannot be told, and exits with 2."""
    asked = {name: value for name, value in given.items() if value} | {"state": state}
    try:
        body = call(BASE, "act", url=site.url, data=asked, key=uuid.uuid4().hex)
        found = answered(body)
    except NotAsked as error:
        say(f"Evenkeel was not told, or it is not known: {error}", err=True)
        sys.exit(CANNOT_BE_ASKED)
    say(f"Change {found['id']}: {found['kind']} of {found['service']}, {found['version']}, {found['state']}.", err=True)
    site.show(parsed(body), lambda: say(str(found["id"])))


def answered(body: bytes) -> dict[str, Any]:
    """The change as it was recorded; NotAsked for what is no answer of ours."""
    found = parsed(body)
    told: dict[str, Any] | None = found.get("change") if isinstance(found, dict) else None
    if not isinstance(told, dict) or not {"id", "kind", "service", "version", "state"} <= told.keys():
        raise not_evenkeel(200)
    return told
