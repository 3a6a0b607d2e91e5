"""The lease, and the scheduled work of the process that holds it.

The lease is a row renewed each second by the database's clock and taken over
after 3 s. Its term grows with every take-over; whatever the watch writes is
checked against the term, so a holder that was frozen can do no harm.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection
from tornado.ioloop import PeriodicCallback

from server.kernel import shared_clock
from server.kernel.connection import Connection, OwnConnection
from server.kernel.db import AWAY, Database
from server.kernel.loop import Loop
from server.kernel.text import first_line
from server.process import watch_store as store
from server.process.glance import Glance
from server.process.process import Process

log = logging.getLogger("evenkeel.watch")

RENEW_S = 1.0
CANDIDATE_S = 0.5
STATEMENT_S = 1.5
STAGGER_S = 0.13  # no fraction of a second, so that what comes each second is spread over it
LOOK_S = 1.0  # between two looks at what is due
SURE_S = 2.5  # since the last renewal began; others wait for 3 s


class Fenced(Exception):
    """Another watch has taken over: what a job was doing is not committed."""


async def require_term(connection: AsyncConnection, term: int) -> None:
    """Fenced where another watch has taken over since `term` began."""
    if await store.term_now(connection) != term:
        raise Fenced(f"the lease is no longer in term {term}")


@dataclass(frozen=True, slots=True)
class Job:
    """Work done every `every_s` seconds by the leader: `run(term)`, cut off after `limit_s`.

    `first_s`: how long after a take-over it comes first, where that is not at once. `phase` is the fraction of a
    second of the clock at which it begins, for what looks at whole seconds.

    `due`: in SQL, whether there is anything to do, with `:name` for what `given` answers, names that no other job has.
    All that have one are asked together each second; one that has nothing to do is not run. May be true for nothing,
    and must not be false while there is something.
    """

    name: str
    every_s: float
    run: Callable[[int], Awaitable[None]]
    limit_s: float
    phase: float | None = None
    first_s: float = 0.0
    due: str = ""
    given: Callable[[], Mapping[str, object]] = dict

    def wait_s(self, now: float) -> float:
        """Seconds from `now`, Unix seconds, to its phase."""
        return 0.0 if self.phase is None else (self.phase - now) % 1


class Lease:
    """The row 'watch', on a connection of its own. `term` is None while somebody else leads."""

    def __init__(self, db: Database, process: Process) -> None:
        self.db = db
        self.process = process
        self.term: int | None = None
        self._sure_until = 0.0
        self._connection = OwnConnection(db, "lease")

    @property
    def held(self) -> bool:
        """Whether nobody else can have it yet, by this machine's own clock."""
        return self.term is not None and time.monotonic() < self._sure_until

    @property
    def next_s(self) -> float:
        """When to step again, in seconds: a holder looks once more just before it stops being sure."""
        if not self.held:
            return CANDIDATE_S
        return max(0.0, min(RENEW_S, self._sure_until - time.monotonic()))

    async def step(self) -> None:
        """Renew, or try to take; psycopg.Error, OSError or TimeoutError where the database does not answer."""
        begun = time.monotonic()
        limit_s = min(STATEMENT_S, self._sure_until - begun) if self.held else STATEMENT_S
        async with self._connection.use(limit_s) as connection:
            await self._step(connection)
        if self.term is not None:
            self._sure_until = begun + SURE_S

    async def _step(self, connection: Connection) -> None:
        if self.term is None:
            self.term = await store.take(connection, self.process.id)
        elif not await store.renew(connection, self.process.id, self.term):
            self.term = None

    async def close(self) -> None:
        """Let go of the lease, if held."""
        try:
            if self.term is not None:
                async with self._connection.use(STATEMENT_S) as connection:
                    await store.give_up(connection, self.process.id, self.term)
        except AWAY as error:
            log.warning("lease not given up, it ends by itself: %s", error)
        self.term = None
        await self._connection.close()


class Watch:
    """A candidate for the lease; runs the jobs while it leads."""

    def __init__(self, db: Database, process: Process, jobs: Sequence[Job]) -> None:
        self.process = process
        self.jobs = jobs
        self.lease = Lease(db, process)
        self.term: int | None = None  # of the jobs that are running
        self._callbacks: list[PeriodicCallback] = []
        self._first: list[asyncio.TimerHandle] = []
        self._running: dict[str, asyncio.Task[None]] = {}
        self._begun: dict[str, float] = {}  # when each job began last, by the loop's clock
        self._away: dict[str, str] = {}  # by job, what its database said where the last run failed by that
        self._glance = Glance(db, "watch")
        self._loop = Loop("holding the lease", self._campaign, lambda: self.lease.next_s)

    async def start(self) -> None:
        """Be a candidate from now on."""
        self._loop.wake()
        self._loop.start()

    async def _campaign(self) -> None:
        try:
            await self.lease.step()
        finally:
            self._follow_lease()  # whatever the fault: the jobs must not outlive the lease

    def _follow_lease(self) -> None:
        if self.lease.term is not None and not self.lease.held:
            self.lease.term = None  # not renewed in time: somebody else may have it
        if self.lease.term != self.term:
            if self.term is not None:
                self._resign()
            if self.lease.term is not None:
                self._lead(self.lease.term)

    def _lead(self, term: int) -> None:
        log.info("%s is the watch, term %d", self.process.name, term)
        self.term = term
        loop = asyncio.get_running_loop()
        for place, job in enumerate(self.jobs):
            apart_s = place * STAGGER_S
            # Never all at once: those of one moment would each need a connection, more than the pool keeps open.
            if not job.due:
                begin_s = apart_s if job.phase is None else job.wait_s(shared_clock.now())
                self._each(functools.partial(self._run, job, term), job.every_s, begin_s)
            # The first run is soon: a daily job must not wait a day after each take-over.
            self._first.append(loop.call_later(job.first_s + apart_s, self._start, job, term))
        if any(job.due for job in self.jobs):
            self._each(functools.partial(self._look, term), LOOK_S, STAGGER_S)

    def _each(self, run: Callable[[], Awaitable[None]], every_s: float, begin_s: float) -> None:
        callback = PeriodicCallback(run, every_s * 1000)
        self._callbacks.append(callback)
        self._first.append(asyncio.get_running_loop().call_later(begin_s, callback.start))

    async def _look(self, term: int) -> None:
        """Start the jobs that have something to do; where that cannot be asked, as while one table is locked, all."""
        jobs = [job for job in self.jobs if job.due]
        given = {name: value for job in jobs for name, value in job.given().items()}
        try:
            found = await self._glance.look({job.name: job.due for job in jobs}, given, STATEMENT_S)
        except AWAY as error:
            log.warning("what is due cannot be asked, each job looks for itself: %s", first_line(error))
            found = {job.name: True for job in jobs}
        if self.term != term:
            return
        now = asyncio.get_running_loop().time()
        for job in jobs:
            if found[job.name] and now - self._begun.get(job.name, -job.every_s) >= job.every_s - LOOK_S / 2:
                self._start(job, term)

    def _resign(self) -> None:
        log.warning("%s is no longer the watch", self.process.name)
        self.term = None
        for callback in self._callbacks:
            callback.stop()
        for first in self._first:
            first.cancel()
        self._callbacks, self._first = [], []
        for task in self._running.values():
            task.cancel()

    def _start(self, job: Job, term: int) -> asyncio.Task[None] | None:
        """Start a run, unless the last one has not ended."""
        if job.name in self._running:
            return None
        self._begun[job.name] = asyncio.get_running_loop().time()
        task = asyncio.create_task(self._guarded(job, term), name=job.name)
        self._running[job.name] = task
        task.add_done_callback(lambda _: self._running.pop(job.name, None))
        return task

    async def _run(self, job: Job, term: int) -> None:
        task = self._start(job, term)
        if task is not None:
            await asyncio.wait([task])

    async def _guarded(self, job: Job, term: int) -> None:
        try:
            async with asyncio.timeout(job.limit_s):
                await job.run(term)
            if self._away.pop(job.name, None):
                log.info("job %s has its database again", job.name)
        except TimeoutError:
            log.error("job %s was cut off after %g s", job.name, job.limit_s)
        except Fenced as error:
            log.warning("job %s: %s", job.name, error)
        except AWAY as error:
            if self._away.get(job.name) != first_line(error):  # once an outage, however often it is tried
                self._away[job.name] = first_line(error)
                log.exception("job %s failed, and goes on being tried", job.name)
        except Exception:
            log.exception("job %s failed", job.name)

    async def close(self) -> None:
        """Stop the jobs, then let go of the lease."""
        await self._loop.close()
        running = list(self._running.values())
        if self.term is not None:
            self._resign()
        await asyncio.gather(*running, return_exceptions=True)
        await self._glance.close()
        await self.lease.close()
