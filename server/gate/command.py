"""`python -m server gate --service S --kind deploy`: the gate's answer as an exit status, for pipelines."""

from __future__ import annotations

import sys

import click

STATUS = {"allow": 0, "deny": 1, "unknown": 2}
CANNOT_BE_ASKED = 2
REASONS = ["normal", "security", "p0", "incident"]


@click.command()
@click.option("--service", required=True, help="the service that the change goes to")
@click.option("--kind", required=True, type=click.Choice(["deploy", "revision", "scale", "flag"]))
@click.option("--version", default="", help="the version that is deployed: one that was rolled back is denied")
@click.option("--reason", default="normal", type=click.Choice(REASONS), show_default=True)
def gate(service: str, kind: str, version: str, reason: str) -> None:
    """Ask EVENKEEL_URL, with EVENKEEL_API_KEY, whether a change may go out now.

    Exits 0 where it may, 1 where it may not, 2 where that is not known or cannot be asked.
    """
    try:
        status = ask({"service": service, "kind": kind, "version": version, "reason": reason})
    except Exception as error:  # whatever it is, a 1 would say that the gate denies it
        click.echo(ascii(f"The gate cannot be asked: {type(error).__name__}: {error}")[1:-1], err=True)
        sys.exit(CANNOT_BE_ASKED)
    sys.exit(status)


def ask(asked: dict[str, str]) -> int:
    """Print the answer; its exit status."""
    from server.gate.asked_over_http import NotAsked, fetch

    try:
        answer = fetch(asked)
    except NotAsked as error:
        click.echo(f"The gate cannot be asked: {error}", err=True)
        return CANNOT_BE_ASKED
    click.echo(answer["reason"])
    if answer["changes_when"]:
        at = f": {answer['changes_at']}," if answer["changes_at"] else ""
        click.echo(f"Changes{at} {answer['changes_when']}.")
    for one in answer["postmortem"]:
        click.echo(one["text"])
    return STATUS.get(answer["answer"], CANNOT_BE_ASKED)
