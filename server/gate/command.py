"""`python -m server gate --service S --kind deploy`: asks over HTTP and exits with the answer, for pipelines.

Needs the standard library and click alone: a pipeline has no database driver.
"""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import urlencode

import click

from server.kernel.remote import NotAsked, call, not_evenkeel, parsed
from server.kernel.remote_command import CANNOT_BE_ASKED, Remote, asks
from server.kernel.terminal import say

STATUS = {"allow": 0, "deny": 1, "unknown": 2}
REASONS = ["normal", "security", "p0", "incident"]


@click.command()
@click.option("--service", required=True, help="the service that the change goes to")
@click.option("--kind", required=True, type=click.Choice(["deploy", "revision", "scale", "flag"]))
@click.option("--version", default="", help="the version that is deployed: one that was rolled back is denied")
@click.option("--reason", default="normal", type=click.Choice(REASONS), show_default=True)
@asks
def gate(site: Remote, service: str, kind: str, version: str, reason: str) -> None:
    """Ask whether a change may go out now.

    Asks EVENKEEL_URL with EVENKEEL_API_KEY, a key of the scope read. Exits 0 where it may, 1 where it may not, 2
    where that is not known or cannot be asked.
    """
    try:
        status = ask(site, {"service": service, "kind": kind, "version": version, "reason": reason})
    except Exception as error:  # whatever it is, a 1 would say that the gate denies it
        say(ascii(f"The gate cannot be asked: {type(error).__name__}: {error}")[1:-1], err=True)
        sys.exit(CANNOT_BE_ASKED)
    sys.exit(status)


def ask(site: Remote, asked: dict[str, str]) -> int:
    """Print the answer; its exit status."""
    try:
        answer = fetch(asked, site.url)
    except NotAsked as error:
        say(f"The gate cannot be asked: {error}", err=True)
        return CANNOT_BE_ASKED
    site.show(answer, lambda: people(answer))
    return STATUS.get(answer["answer"], CANNOT_BE_ASKED)


def people(answer: dict[str, Any]) -> None:
    """The answer in sentences."""
    say(answer["reason"])
    if answer["changes_when"]:
        at = f": {answer['changes_at']}," if answer["changes_at"] else ""
        say(f"Changes{at} {answer['changes_when']}.")
    for one in answer["postmortem"]:
        say(one["text"])


def fetch(asked: dict[str, str], url: str = "") -> dict[str, Any]:
    """The answer; NotAsked names what is wrong."""
    query = urlencode({name: value for name, value in asked.items() if value})
    found = parsed(call(f"/api/v1/gate?{query}", "read", url=url))
    if not isinstance(found, dict) or not {"answer", "reason"} <= found.keys():
        raise not_evenkeel(200)
    return {"changes_at": None, "changes_when": "", "postmortem": []} | found
