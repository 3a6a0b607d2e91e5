"""`python -m server change start|finish …`: tells of a change over HTTP, for pipelines.

Needs the standard library and click alone, as the gate's command does. What goes on is said on the error output; the
output is the number of the change.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable
from typing import Any

import click

from server.kernel.remote import NotAsked, call, not_evenkeel, parsed
from server.kernel.terminal import say

CANNOT_BE_TOLD = 2
MIGRATIONS = ["none", "reversible", "irreversible", "unknown"]


@click.group()
def change() -> None:
    """Tell EVENKEEL_URL of a change, with EVENKEEL_API_KEY of the scope act."""


def described(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which change it is."""
    for option in reversed(
        (
            click.option("--service", required=True, help="the service that it goes to"),
            click.option("--version", required=True, help="what senders write as version"),
            click.option("--kind", default="deploy", type=click.Choice(["deploy", "scale", "flag"]), show_default=True),
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
def start(**given: str) -> None:
    """It is under way. Prints its number."""
    tell(given, "started")


@change.command()
@described
@click.option("--failed", is_flag=True, help="it did not work")
def finish(failed: bool, **given: str) -> None:
    """It has ended: the one that was started for this service and version, or one that nobody has told of."""
    tell(given, "failed" if failed else "finished")


def tell(given: dict[str, str], state: str) -> None:
    """Print the number of the change; says why where it cannot be told, and exits with 2."""
    asked = {name: value for name, value in given.items() if value} | {"state": state}
    try:
        found = answered(call("/api/v1/changes", "act", data=asked, key=uuid.uuid4().hex))
    except NotAsked as error:
        say(f"Evenkeel was not told, or it is not known: {error}", err=True)
        sys.exit(CANNOT_BE_TOLD)
    say(f"Change {found['id']}: {found['kind']} of {found['service']}, {found['version']}, {found['state']}.", err=True)
    say(str(found["id"]))


def answered(body: bytes) -> dict[str, Any]:
    """The change as it was recorded; NotAsked for what is no answer of ours."""
    found = parsed(body)
    told: dict[str, Any] | None = found.get("change") if isinstance(found, dict) else None
    if not isinstance(told, dict) or not {"id", "kind", "service", "version", "state"} <= told.keys():
        raise not_evenkeel(200)
    return told
