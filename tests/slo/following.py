"""One process's policies, not yet started."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from server.kernel.bus import Bus
from server.kernel.settings import read_environment
from server.slo.policy.policies import Policies
from tests.conftest import variables
from tests.live.writing import database
from tests.waiting import until


@asynccontextmanager
async def process(url: str, slo_file: str, *, bus_works: bool = True) -> AsyncIterator[Policies]:
    """One process's policies, not yet started."""
    env = read_environment(variables(url, Path("/tmp"), SLO_FILE=slo_file))
    async with database(url) as db:
        bus = Bus(db, None)
        if bus_works:
            bus.start()
            await until(lambda: bus.listening, "the bus to listen")
        policies = Policies(env, db, bus)
        try:
            yield policies
        finally:
            await policies.close()
            await bus.close()
