"""Policies of one process, and what a test of ledgers needs besides."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
from hypothesis import HealthCheck, Phase, settings

from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.settings import read_environment
from server.slo.policy.policies import Policies
from tests.conftest import variables
from tests.examples import examples
from tests.live.writing import database
from tests.slo.making import file
from tests.waiting import until

NOW = 1_790_000_000 // 3600 * 3600 + 1234.5


TABLES = (
    *(
        "series",
        "writers",
        "deltas",
        "outcomes",
        "minutes",
        "minute_sketches",
        "hours",
        "service_rollups",
        "rollup_cover",
    ),
    *(
        "policy_revisions",
        "ledger_minutes",
        "ledger_hours",
        "ledger_left_out",
        "ledger_late",
        "recounts",
        "exclusions",
        "objectives",
    ),
)


def clear(url: str) -> None:
    """What an example left; a DELETE of a few rows is quicker than a TRUNCATE."""
    with psycopg.connect(url) as connection:
        for table in TABLES:
            connection.execute(f"DELETE FROM {table}".encode())


@asynccontextmanager
async def policies(db: Database, url: str, directory: Path, text: str) -> AsyncIterator[Policies]:
    env = read_environment(variables(url, directory, SLO_FILE=file(directory, text)))
    bus = Bus(db, None)
    found = Policies(env, db, bus)
    await found.start()
    try:
        yield found
    finally:
        await found.close()
        await bus.close()


def in_a_database(most: int) -> settings:
    """Each example takes many round trips, so there are few, and no minutes of shrinking."""
    return settings(
        max_examples=examples(most),
        deadline=None,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@asynccontextmanager
async def process(url: str, slo_file: str, *, bus_works: bool = True) -> AsyncIterator[Policies]:
    """One process's policies, not yet started."""
    env = read_environment(variables(url, Path("/tmp"), SLO_FILE=slo_file))
    async with database(url) as db:
        bus = Bus(db, None)
        if bus_works:
            bus.start()
            await until(lambda: bus.listening, "the bus to listen")
        found = Policies(env, db, bus)
        try:
            yield found
        finally:
            await found.close()
            await bus.close()
