"""`python -m server slo status|budget`: how the objectives stand, asked over HTTP.

Needs the standard library and click alone, as the gate's command does.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import click

from server.kernel.remote_command import NOTHING, Remote, asks
from server.kernel.terminal import say, say_table
from server.kernel.text import NONE, percent, span
from server.slo.model import words
from server.slo.model.words import NO_TRAFFIC, OVERSPENT, RECOUNTED, STATE_WORDS, TOO_LITTLE, too_little

BASE = "/api/v1/slos"
HEAD = ("STATE", "OBJECTIVE", "SERVICE", "TARGET", "FAILING OF TOTAL", "BUDGET LEFT", "BURN 1H", "GONE IN")


@click.command()
@asks
def status(site: Remote) -> None:
    """How every objective stands, the worst first."""
    found = site.get(BASE)
    site.show(found, lambda: people(found["objectives"]))


def people(objectives: list[dict[str, Any]]) -> None:
    """The table; without any objective what to do."""
    say_table(HEAD, [row(one) for one in objectives])
    if not objectives:
        say("No objective is in force: write one into slo.yaml, then `python -m server slo apply`.", err=True)


def row(one: dict[str, Any]) -> tuple[str, ...]:
    """One objective."""
    now = one["status"]
    target = f"{one['target'] * 100:g} %" + (f" in {one['threshold_ms']:g} ms" if one["threshold_ms"] else "")
    named = (one["name"], one["service"], target)
    if now is None:
        return ("not evaluated", *named, NONE, NONE, NONE, NONE)
    left, gone = budget_left(now)
    counts = f"{now['bad']:,} of {now['good'] + now['bad']:,}"
    return (STATE_WORDS.get(now["state"], now["state"]), *named, counts, left, burn(now["burn_1h"]), gone)


def budget_left(now: dict[str, Any]) -> tuple[str, str]:
    """What is left and when that is gone, in the words of the pages: `31 %`, `12-31 %`, `too little traffic`."""
    left, worst, best = now["budget_left"], now["budget_worst"], now["budget_best"]
    if left is None and worst is None:
        return RECOUNTED if now.get("recounting") else NO_TRAFFIC, NONE
    if too_little(left, judged=now.get("judged", True)):
        return TOO_LITTLE, NONE
    most = left if best is None else best
    if most is not None and most < 0:
        return f"{words.budget(left, worst, best)}, {OVERSPENT}", NONE
    return words.budget(left, worst, best), span(now["exhausted_in_s"])


def burn(rate: float | None) -> str:
    """A burn rate: 1 spends the budget exactly within the window."""
    return NONE if rate is None else f"{rate:.3g}"


@click.command()
@click.argument("name")
@click.option("--window", default="", help="5m to 400d, ending now; else the objective's own")
@click.option("--month", default="", help="a calendar month in UTC, 2026-11")
@asks
def budget(site: Remote, name: str, window: str, month: str) -> None:
    """The exact counts of an objective and its budget. Exits with 1 where nothing was counted."""
    query = urlencode({key: value for key, value in (("window", window), ("month", month)) if value})
    found = site.get(f"{BASE}/{quote(name, safe='')}/budget{'?' if query else ''}{query}")
    site.show(found, lambda: say_table(("WHAT", found["name"]), counted(found)))
    if found["state"] != "counted":
        sys.exit(NOTHING)


def counted(found: dict[str, Any]) -> list[tuple[str, str]]:
    """What was counted, a line each."""
    left_out = found["left_out_good"] + found["left_out_bad"]
    left, gone = budget_left({"budget_worst": None, "budget_best": None} | found)
    rows = [
        ("from", found["from"]),
        ("to", found["to"]),
        ("failing of total", f"{found['bad']:,} of {found['total']:,}"),
        ("failing", percent(found["bad_ratio"])),
        ("taken out by exclusions", f"{left_out:,}"),
        ("burn rate", burn(found["burn_rate"])),
        ("budget left", left),
        ("gone in", gone),
        ("counted exactly since", exact_from(found)),
    ]
    return rows if found["state"] == "counted" else [*rows[:2], ("failing of total", "no traffic"), *rows[6:]]


def exact_from(found: dict[str, Any]) -> str:
    """Since when every outcome is counted exactly; of the time before the first one there is nothing to say."""
    exact, oldest = found["exact_since"], found.get("oldest")
    if oldest is None:
        return NONE if found["state"] == "no_traffic" else str(exact)
    return str(max(exact, oldest, key=datetime.fromisoformat))
