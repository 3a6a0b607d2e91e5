"""`python -m server config …`: the settings that change at run time, over HTTP, with the receipts of the processes.

Needs the standard library and click alone, as the gate's command does.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from server.kernel.remote_command import NOTHING, Remote, asks, field_of
from server.kernel.terminal import say, say_table
from server.kernel.text import NONE

BASE = "/api/v1/config"
HEAD = ("SETTING", "IN FORCE", "FROM", "UNTIL", "WITHOUT IT", "FOR SINGLE KEYS")
HISTORY_HEAD = ("REVISION", "AT", "AUTHOR", "CHANGED", "REASON")
RECEIPTS_S = 15.0  # longer than a process without a bus takes to find a revision
EVERY_S = 0.2


@click.group()
def config() -> None:
    """Settings that change at run time, and who has applied them.

    Asks EVENKEEL_URL with EVENKEEL_API_KEY, a key of the scopes read and act.
    """


@config.command()
@asks
def show(site: Remote) -> None:
    """What is in force, from where, and in which processes."""
    found = site.get(BASE)
    site.show(found, lambda: people(found))


def people(found: dict[str, Any]) -> None:
    """The revision in force, and a row a setting."""
    revision = found["revision"]
    say(f"Revision {revision['revision']}: {revision['author']}, {revision['at']}, {revision['reason'] or NONE}")
    say(f"{found['rollout']['text']}.")
    say_table(HEAD, [row(one) for one in found["settings"]])


def row(one: dict[str, Any]) -> tuple[str, ...]:
    """One setting."""
    now = one["in_force"]
    return (
        one["name"],
        shown(now["value"]),
        now["source"],
        now["until"] or "",
        shown(now["standing"]) if now["until"] else "",
        ", ".join(f"{scope['scope_name']} {shown(scope['value'])}" for scope in one["scopes"]),
    )


def shown(value: Any) -> str:
    """A value as it is written in `config set`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@config.command()
@asks
def history(site: Remote) -> None:
    """The newest revisions, with who made them and why."""
    found = site.get(f"{BASE}/revisions")
    site.show(found, lambda: say_table(HISTORY_HEAD, [revision_row(one) for one in found["revisions"]]))


def revision_row(one: dict[str, Any]) -> tuple[str, ...]:
    """One revision."""
    changed = "; ".join(
        f"{each['setting']} {shown(each['before'])} -> {shown(each['after'])}"
        + ("" if each["scope"] == "all" else f" for {each['scope_name']}")
        for each in one["differences"]
    )
    return (str(one["revision"]), one["at"], one["author"], changed, one["reason"])


@config.command("set")
@click.argument("values", nargs=-1, required=True, metavar="SETTING=VALUE...")
@click.option("--reason", required=True, help="why, for whoever reads it at 3 a.m.")
@click.option("--minutes", type=click.IntRange(1, 10080), help="it ends by itself; else it is kept")
@click.option("--key", "key_id", type=click.IntRange(1), help="for this API key alone, by its number")
@asks
def set_(site: Remote, values: tuple[str, ...], reason: str, minutes: int | None, key_id: int | None) -> None:
    """Change settings, and wait until every process has them.

    SETTING=null takes a value away. Exits with 1 where they are saved, and some process has not applied them within
    15 s.
    """
    asked = {
        "values": {name: None if value == "null" else value for name, value in map(field_of, values)},
        "reason": reason,
        "minutes": minutes,
        "scope": f"key:{key_id}" if key_id else "all",
    }
    seen = site.get(BASE)["revision"]["revision"]
    awaited(site, site.act(BASE, asked, method="PATCH", **{"If-Match": f'"{seen}"'}))


@config.command()
@click.option("--to", "number", type=click.IntRange(1), help="the revision whose values to bring back")
@click.option("--reason", default="", help="why")
@asks
def rollback(site: Remote, number: int | None, reason: str) -> None:
    """Bring the values of an earlier revision back.

    By default those of the one before. Waits as `set` does, and exits as it does.
    """
    seen = site.get(BASE)["revision"]["revision"]
    asked = {"from": seen, "reason": reason} | ({"to": number} if number else {})
    awaited(site, site.act(f"{BASE}/rollback", asked))


def awaited(site: Remote, saved: dict[str, Any]) -> None:
    """Say what was saved and how far it has come; exits with 1 where it has not come everywhere in time."""
    if not site.as_json:
        say(saved["message"])
    deadline = time.monotonic() + RECEIPTS_S
    while not (progress := site.get(BASE)["rollout"])["complete"] and time.monotonic() < deadline:
        time.sleep(EVERY_S)
    site.show(saved, lambda: say(f"{progress['text']}."))
    if not progress["complete"]:
        for one in progress["stragglers"]:
            say(f"{one['text']}.", err=True)
        sys.exit(NOTHING)
