"""The checks as scheduled work of the watch."""

from __future__ import annotations

import time

from checks import apart, registry, runner
from checks.check import ROOT, Check, Surroundings
from server.kernel.db import Database
from server.kernel.settings import Environment
from server.process.watch import Job
from server.selfcheck import store

FIRST_S = 10.0  # a new watch runs each check for the first time after this long, also the hourly ones
RECORD_S = 5.0  # for the result to be kept
FORGET_S = 3600.0


def jobs(env: Environment, db: Database) -> list[Job]:
    """One job a check, which records its result, and one that forgets old results."""
    around = Surroundings(ROOT, env, db, own_url(env), lasting=True)
    scheduled = [Scheduled(check, around) for check in registry.CHECKS]
    found = [
        Job(f"check {one.check.name}", min(one.check.every_s, FIRST_S + place), one.run, one.check.limit_s + RECORD_S)
        for place, one in enumerate(scheduled)
    ]

    async def forget(term: int) -> None:
        async with db.act() as connection:
            await store.forget_old(connection)

    return [*found, Job("check history", FORGET_S, forget, 30)]


def own_url(env: Environment) -> str:
    """Where this machine's web processes answer."""
    everywhere = env.host in ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound
    host = "127.0.0.1" if everywhere else f"[{env.host}]" if ":" in env.host else env.host
    return f"http://{host}:{env.port}"


class Scheduled:
    """One check in the service. The job comes often; the check runs when it is due."""

    def __init__(self, check: Check, around: Surroundings) -> None:
        self.check = check
        self.around = around
        self._due = 0.0  # on the monotonic clock: at once, whenever the last run was

    async def run(self, term: int) -> None:
        """Run the check if it is due and keep what it found."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self.check.every_s
        run = apart.run if self.check.apart else runner.run
        result = await run(self.check, self.around)
        async with self.around.database.act() as connection:
            await store.record(connection, result)
