"""The checks as scheduled work of the watch."""

from __future__ import annotations

import time
from collections.abc import Sequence

from checks import apart, registry, runner
from checks.check import DAY_S, ROOT, Check, Surroundings
from server import __version__
from server.kernel.db import Database
from server.kernel.settings import Environment
from server.process.watch import Job
from server.selfcheck import store
from server.selfcheck.findings import CheckResult

FIRST_S = 10.0  # a new watch runs each check for the first time after this long, also the hourly ones
FAILED_S = 60.0  # a server that failed may be well in a moment: it is asked again after this long
LOOK_S = 600.0  # whether a check of the repository is due
SETTLED_S = 60.0  # a start has other things to do than to look at files, which are the same a minute later
RECORD_S = 5.0  # for the result to be kept
FORGET_S = 3600.0


def jobs(env: Environment, db: Database) -> list[Job]:
    """One job a check of what runs, one for those of the repository, and one that forgets old results."""
    around = Surroundings(ROOT, env, db, own_url(env), lasting=True)
    running = [Scheduled(registry.load(name), around) for name in registry.RUNNING]
    found = [
        Job(f"check {one.check.name}", min(one.check.every_s, FIRST_S + place), one.run, one.check.limit_s + RECORD_S)
        for place, one in enumerate(running)
    ]
    own = OfRepository(registry.REPOSITORY, around)
    found.append(Job("checks of the repository", LOOK_S, own.run, apart.LIMIT_S + RECORD_S, first_s=SETTLED_S))

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
        found = await runner.run(self.check, self.around)
        if found.status == "fail" and self.check.needs == "server":
            self._due = min(self._due, time.monotonic() + FAILED_S)
        await keep(self.around.database, found)


class OfRepository:
    """The checks of the repository: once for this version and once a day, however often Evenkeel restarts."""

    def __init__(self, names: Sequence[str], around: Surroundings) -> None:
        self.names = names
        self.around = around

    async def run(self, term: int) -> None:
        """Run, apart, those whose newest result is not of this version or not of the last day."""
        async with self.around.database.act() as connection:
            due = [name for name in self.names if not await store.has_run(connection, name, __version__, DAY_S)]
        if due:
            await keep(self.around.database, *await apart.run(due, self.around))


async def keep(db: Database, *results: CheckResult) -> None:
    async with db.act() as connection:
        for result in results:
            await store.record(connection, result)
