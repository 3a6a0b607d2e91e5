"""`python -m server doctor`: a report for who is to help, without a secret."""

from __future__ import annotations

import sys

import click

from server.kernel.terminal import say


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def doctor(as_json: bool) -> None:
    """Report how this installation is, without a secret.

    Versions, settings, database, Redis, processes, checks, disk. Nothing is changed, nothing is started; the report
    can be handed on. Works while the database or Redis are away. Exits with 1 where something fails.
    """
    import msgspec

    from server.doctor.looking import look
    from server.doctor.report import as_markdown
    from server.kernel import shared_clock

    report = look(shared_clock.now())
    say(msgspec.json.format(msgspec.json.encode(report)).decode() if as_json else as_markdown(report))
    sys.exit(report.status == "fail")
