"""`python -m server maintenance …`: plans, lists, extends and ends windows over HTTP, as the pages do.

Needs the standard library and click alone, as the gate's command does.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from server.kernel import shared_clock
from server.kernel.remote_command import Remote, asks
from server.kernel.terminal import say, say_table

BASE = "/api/v1/maintenance-windows"
HEAD = ("WINDOW", "STATE", "START", "STOP", "SERVICES", "REASON", "BY")
MINUTES = click.IntRange(1, 7 * 24 * 60)


@click.group()
def maintenance() -> None:
    """Maintenance windows: list, plan, extend, end.

    Asks EVENKEEL_URL with EVENKEEL_API_KEY, a key of the scopes read and act.
    """


@maintenance.command("list")
@click.option("--all", "every", is_flag=True, help="also those that are over")
@asks
def list_(site: Remote, every: bool) -> None:
    """Those that are planned or running, the next first."""
    found = site.get(BASE)
    site.show(found, lambda: people(found["open"] + (found["over"] if every else [])))


def people(windows: list[dict[str, Any]]) -> None:
    """A row a window."""
    say_table(HEAD, [row(one) for one in windows])
    if not windows:
        say("No maintenance is planned or running.", err=True)


def row(one: dict[str, Any]) -> tuple[str, ...]:
    """One window."""
    named = (str(one["id"]), one["state"], one["start"], one["stop"], ", ".join(one["services"]))
    return (*named, one["reason"], one["author"])


@maintenance.command()
@click.option("--service", "services", multiple=True, help="may be repeated; else all that have an objective")
@click.option("--start", default="", metavar="TIME", help="RFC 3339; else now")
@click.option("--minutes", type=MINUTES, required=True, help="how long")
@click.option("--reason", required=True, help="what is done, and why")
@click.option("--expected", default="", help="what will be seen of it: checkout answers 503")
@asks
def plan(  # noqa: PLR0917 - its options
    site: Remote, services: tuple[str, ...], start: str, minutes: int, reason: str, expected: str
) -> None:
    """Plan one, which the budget leaves out.

    Its services are silenced, announced and marked on charts.
    """
    begins = time_of(start) if start else datetime.fromtimestamp(shared_clock.now(), UTC)
    asked = {
        "start": begins.isoformat(),
        "stop": (begins + timedelta(minutes=minutes)).isoformat(),
        "services": list(services),
        "reason": reason,
        "expected": expected,
    }
    said(site, site.act(BASE, asked))


@maintenance.command()
@click.argument("number", type=int)
@click.option("--minutes", type=MINUTES, required=True, help="so much longer")
@asks
def extend(site: Remote, number: int, minutes: int) -> None:
    """Have one end later."""
    found = site.get(BASE)
    window = next((one for one in found["open"] if one["id"] == number), None)
    if window is None:
        raise click.ClickException(f"No maintenance {number} is planned or running. Nothing was done.")
    stop = time_of(window["stop"]) + timedelta(minutes=minutes)
    said(site, site.act(f"{BASE}/{number}/extend", {"stop": stop.isoformat()}))


@maintenance.command()
@click.argument("number", type=int)
@asks
def end(site: Remote, number: int) -> None:
    """End one now, or cancel it before it begins."""
    said(site, site.act(f"{BASE}/{number}/end", {}))


def time_of(text: str) -> datetime:
    """A time with its zone; click's error where it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise click.UsageError(f"{text} is no time with a zone, such as 2026-12-01T03:00:00Z. Nothing was done.")
    return found


def said(site: Remote, done: dict[str, Any]) -> None:
    """What came of an act."""
    site.show(done, lambda: say(f"Maintenance {done['window']['id']}: {done['message']}"))
