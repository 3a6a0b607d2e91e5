"""`python -m server incident …`: lists, shows, declares and acts over HTTP, as the pages do.

Needs the standard library and click alone, as the gate's command does.
"""

from __future__ import annotations

import uuid
from typing import Any

import click

from server.kernel.remote_command import Remote, asks, field_of
from server.kernel.terminal import say, say_table
from server.kernel.text import NONE, span

BASE = "/api/v1/incidents"
HEAD = ("INCIDENT", "SEV", "STATE", "SERVICE", "TITLE", "ONSET", "RECOVERED AFTER")
TIMELINE_HEAD = ("AT", "WHO", "WHAT")


@click.group()
def incident() -> None:
    """Incidents: list, show, declare, act, report.

    Asks EVENKEEL_URL with EVENKEEL_API_KEY, a key of the scopes read and act.
    """


@incident.command("list")
@click.option("--all", "every", is_flag=True, help="also those that are over")
@asks
def list_(site: Remote, every: bool) -> None:
    """Those that are open, newest first."""
    found = site.get(f"{BASE}?state={'all' if every else 'open'}")
    site.show(found, lambda: people(found["incidents"], every))


def people(incidents: list[dict[str, Any]], every: bool) -> None:
    """A row an incident."""
    say_table(HEAD, [row(one) for one in incidents])
    if not incidents:
        say("No incident." if every else "No open incident.")


def row(one: dict[str, Any]) -> tuple[str, ...]:
    """One incident."""
    named = (str(one["id"]), f"SEV-{one['severity']}", one["state"], one["service"], one["title"], one["onset"])
    return (*named, span(one["time_to_recover_s"]))


@incident.command()
@click.argument("number", type=int)
@asks
def show(site: Remote, number: int) -> None:
    """The brief of an incident, and what says that it is over."""
    found = site.get(f"{BASE}/{number}")
    site.show(found, lambda: say("\n".join((*found["brief"], found["proof"]["text"]))))


@incident.command()
@click.argument("number", type=int)
@asks
def timeline(site: Remote, number: int) -> None:
    """What happened in an incident, newest first."""
    found = site.get(f"{BASE}/{number}/timeline")
    rows = [(one["at"], one["author"] or NONE, one["text"]) for one in found["lines"]]
    site.show(found, lambda: say_table(TIMELINE_HEAD, rows))


@incident.command()
@click.argument("title")
@click.option("--service", default="", help="where it is")
@click.option("--severity", type=click.IntRange(1, 3), default=2, show_default=True)
@asks
def declare(site: Remote, title: str, service: str, severity: int) -> None:
    """Declare an incident and command it."""
    said(site, post(site, "", {"title": title, "service": service, "severity": severity}))


@incident.command()
@click.argument("number", type=int)
@click.argument("name")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@asks
def act(site: Remote, number: int, name: str, fields: tuple[str, ...]) -> None:
    """Act in an incident, as on its page.

    As accept, note text="rolled back", severity severity=1, resolve reason=…; docs/incidents.md has every act with
    its fields.
    """
    said(site, post(site, f"/{number}/acts", {"act": name, **dict(field_of(each) for each in fields)}))


@incident.command()
@click.argument("number", type=int)
@click.option("--format", "form", type=click.Choice(["md", "html", "json"]), default="md", show_default=True)
@click.option("--public", is_flag=True, help="without names and internals")
@asks
def report(site: Remote, number: int, form: str, public: bool) -> None:
    """Print the report of an incident."""
    form = "json" if site.as_json else form
    query = f"format={form}{'&public=true' if public else ''}"
    say(site.text(f"{BASE}/{number}/report?{query}").rstrip("\n"))


def post(site: Remote, path: str, data: dict[str, Any]) -> Any:
    """Send one act; a second try is the same act."""
    return site.act(BASE + path, data, key=uuid.uuid4().hex)


def said(site: Remote, done: dict[str, Any]) -> None:
    """What came of an act."""
    site.show(done, lambda: say(f"Incident {done['incident']['id']}: {done['message']}"))
