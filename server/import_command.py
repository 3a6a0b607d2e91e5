"""`python -m server import FILE --service NAME`: an access log, on DATABASE_URL or the embedded database."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from server.auth.commands import click_errors
from server.kernel import shared_clock

if TYPE_CHECKING:
    from server.ingest.importer import Report
    from server.kernel.settings import Environment

FORM = '192.0.2.7 - - [23/Nov/2026:03:30:19 +0000] "GET /cart HTTP/1.1" 200 512 "-" "curl/8" 0.012'


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--service", required=True, help="the service that wrote the log")
@click.option("--shift", is_flag=True, help="move all times so that the log ends now")
def import_log(file: Path, service: str, shift: bool) -> None:
    """Store an access log of nginx or Apache (combined format, request time optional) as outcomes.

    Importing a file twice counts it twice. Lines older than OUTCOME_RETENTION_DAYS
    are left out; --shift moves the whole log to the present.
    """
    from server.kernel.settings import read_environment
    from server.process.command_database import database_for_command

    if not 1 <= len(service) <= 200 or "\0" in service:
        raise click.BadParameter("give 1 to 200 characters", param_hint="--service")
    env = read_environment()
    with click_errors(), database_for_command(env) as url:
        report = asyncio.run(run(env, url, file, service, size=file.stat().st_size, shift=shift))
    tell(report, file, shift)


async def run(env: Environment, url: str, file: Path, service: str, *, size: int, shift: bool) -> Report:
    """Import with the thresholds of the objectives in force."""
    from server.ingest.importer import Importer, newest
    from server.kernel.bus import Bus
    from server.kernel.db import Database
    from server.slo.policy.policies import Policies

    db = Database(url, "evenkeel import")
    policies = Policies(env, db, Bus(db, None))
    importer = Importer(env, db, policies.thresholds_us)
    try:
        async with db.act() as connection:
            await policies.follow(connection)
        moved = 0
        if shift:
            with file.open(errors="replace", newline="\n") as lines:
                last = newest(lines, service)
            moved = int(shared_clock.now() * 1_000_000) - last if last is not None else 0
        bar = click.progressbar(length=size, label=f"Importing {file.name}")
        with file.open(errors="replace", newline="\n") as lines, bar:
            return await importer.run(lines, service, moved, bar.update)
    finally:
        await importer.close()
        await db.close()


def tell(report: Report, file: Path, shift: bool) -> None:
    """What became of the lines; ends with status 1 where none was stored."""
    from server.ingest.outcome import iso

    if report.oldest is not None and report.newest is not None:
        click.echo(f"{report.stored} outcomes stored, from {iso(report.oldest)} to {iso(report.newest)}.")
    if report.untimed:
        click.echo(f"{report.untimed} of them have no request time: their latency is not known and counts nowhere.")
    if report.outside:
        hint = "" if shift else "; --shift moves the whole log to the present"
        click.echo(f"{report.outside} lines left out: the first one {report.outside_why}{hint}.")
    if report.unparsed:
        click.echo(f"{report.unparsed} lines are not in the combined format:")
    for number, line in report.first_unparsed:
        click.echo(f"  {file.name}:{number}: {line}")
    if report.unparsed:
        click.echo(f"Understood is one request a line, as nginx and Apache write it (request time optional):\n  {FORM}")
    if not report.stored:
        raise click.ClickException("No outcome was stored.")
