"""`python -m server doctor`: a report for who is to help, without a secret."""

from __future__ import annotations

import asyncio
import os
import sys

import click
import msgspec

from server.doctor import asking, machine
from server.doctor.report import DoctorReport, Section, as_markdown, report_of
from server.kernel import shared_clock
from server.kernel.errors import ConfigurationError
from server.kernel.settings import Environment, read_environment
from server.kernel.terminal import say
from server.kernel.times import utc


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def doctor(as_json: bool) -> None:
    """Report how this installation is: versions, settings, database, Redis, processes, checks, disk.

    Nothing is changed, nothing is started, and no secret is in it: it can be handed on. Works while the database
    or Redis are away. Exits with 1 where something fails.
    """
    report = look(shared_clock.now())
    say(msgspec.json.format(msgspec.json.encode(report)).decode() if as_json else as_markdown(report))
    sys.exit(report.status == "fail")


def look(now: float) -> DoctorReport:
    """The report of now, Unix seconds."""
    sections = [machine.release()]
    try:
        env = read_environment(for_database_only=True)
    except ConfigurationError as wrong:
        sections.append(machine.settings(os.environ, str(wrong)))
    else:
        sections += [machine.settings(os.environ), machine.disk(env), *asyncio.run(asked(env))]
    return report_of(f"{utc(now):%Y-%m-%dT%H:%M:%SZ}", sections)


async def asked(env: Environment) -> list[Section]:
    """What has to be asked for."""
    health = await asyncio.to_thread(asking.of_health, env)
    return [health, *await asking.of_database(env), await asking.of_redis(env)]
