"""`python -m server incident …`: lists, shows, declares and acts over HTTP, as the pages do.

Needs the standard library and click alone, as the gate's command does.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable
from typing import Any

import click

from server.kernel.remote import NotAsked, Unanswered, call, not_evenkeel, parsed
from server.kernel.terminal import say

CANNOT_BE_ASKED = 2
BASE = "/api/v1/incidents"


@click.group()
def incident() -> None:
    """Lead incidents at EVENKEEL_URL, with EVENKEEL_API_KEY of the scopes read and act."""


@incident.command("list")
@click.option("--all", "every", is_flag=True, help="also those that are over")
def list_(every: bool) -> None:
    """Those that are open, newest first."""
    found = asked(lambda: call(f"{BASE}?state={'all' if every else 'open'}", "read"))["incidents"]
    for one in found:
        say(f"{one['id']}  SEV-{one['severity']}  {one['state']}  {one['title']}  onset {one['onset']}")
    if not found:
        say("No incident." if every else "No open incident.")


@incident.command()
@click.argument("number", type=int)
def show(number: int) -> None:
    """The brief of an incident, and what says that it is over."""
    found = asked(lambda: call(f"{BASE}/{number}", "read"))
    for line in found["brief"]:
        say(line)
    say(found["proof"]["text"])


@incident.command()
@click.argument("title")
@click.option("--service", default="", help="where it is")
@click.option("--severity", type=click.IntRange(1, 3), default=2, show_default=True)
def declare(title: str, service: str, severity: int) -> None:
    """Declare an incident and command it."""
    said(asked(lambda: post("", {"title": title, "service": service, "severity": severity})))


@incident.command()
@click.argument("number", type=int)
@click.argument("name")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
def act(number: int, name: str, fields: tuple[str, ...]) -> None:
    """Act in an incident: accept, note text="rolled back", severity severity=1, resolve reason=…

    docs/incidents.md has every act with its fields.
    """
    said(asked(lambda: post(f"/{number}/acts", {"act": name, **dict(field_of(each) for each in fields)})))


@incident.command()
@click.argument("number", type=int)
@click.option("--format", "form", type=click.Choice(["md", "html", "json"]), default="md", show_default=True)
@click.option("--public", is_flag=True, help="without names and internals")
def report(number: int, form: str, public: bool) -> None:
    """Print the report of an incident."""
    query = f"format={form}{'&public=true' if public else ''}"
    body = asked(lambda: call(f"{BASE}/{number}/report?{query}", "read"), lambda body: body.decode())
    say(body.rstrip("\n"))


def field_of(text: str) -> tuple[str, Any]:
    """`severity=1` as a name and a value: a number, true or false where it is one."""
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is no FIELD=VALUE")
    if value in ("true", "false"):
        return name, value == "true"
    return name, int(value) if value.isascii() and value.isdigit() else value


def post(path: str, data: dict[str, Any]) -> bytes:
    """Send one act; a second try is the same act."""
    try:
        return call(BASE + path, "act", data=data, key=uuid.uuid4().hex)
    except Unanswered as error:
        raise NotAsked(f"It is not known whether it was done. {error}") from None


def decoded(body: bytes) -> Any:
    """An answer of ours; NotAsked for what is none."""
    found = parsed(body)
    if not isinstance(found, dict):
        raise not_evenkeel(200)
    return found


def asked(question: Callable[[], bytes], read: Callable[[bytes], Any] = decoded) -> Any:
    """The answer; says why where there is none, and exits with 2."""
    try:
        return read(question())
    except NotAsked as error:
        say(str(error), err=True)
        sys.exit(CANNOT_BE_ASKED)


def said(done: dict[str, Any]) -> None:
    """What came of an act."""
    say(f"Incident {done['incident']['id']}: {done['message']}")
