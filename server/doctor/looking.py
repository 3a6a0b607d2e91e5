"""Looking at everything the report has, in its order."""

from __future__ import annotations

import asyncio
import os

from server.doctor import asking, machine
from server.doctor.report import DoctorReport, Section, report_of
from server.kernel.errors import ConfigurationError
from server.kernel.settings import Environment, read_environment
from server.kernel.times import utc


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
