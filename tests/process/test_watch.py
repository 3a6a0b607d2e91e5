"""The lease and the jobs: one leader, replaced within seconds when it dies, freezes or loses the database."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from server.kernel.db import Database
from server.process import watch_store
from server.process.process import Process
from server.process.watch import SURE_S, Job, Lease, Watch
from tests.live.writing import database
from tests.waiting import NEVER_S, PATIENCE_S, until


async def process(db: Database, name: str) -> Process:
    made = Process(db, "watch", name)
    await made.register()
    return made


def row(url: str) -> tuple[int | None, int]:
    """process_id and term."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("SELECT process_id, term FROM lease").fetchone()
    return (None, 0) if found is None else (found[0], found[1])


async def count(db: Database, table: str) -> int:
    async with db.act() as connection:
        return int((await connection.exec_driver_sql(f"SELECT count(*) FROM {table}")).scalar_one())


# A watch in a process of its own, whose job writes down its term; it says `lead` when it leads.
CHILD = """
import asyncio, sys
from server.kernel.db import Database
from server.process.process import Process
from server.process.watch import Job, Watch

async def main():
    db = Database(sys.argv[1], "child")
    process = Process(db, "watch", "watch.child")
    await process.register()

    async def job(term):
        async with db.act() as connection:
            await connection.exec_driver_sql(sys.argv[2].replace("TERM", str(term)))

    watch = Watch(db, process, [Job("note", 0.05, job, 5)])
    await watch.start()
    told = None
    while True:
        if watch.term != told:
            told = watch.term
            print("lead", told, flush=True)
        await asyncio.sleep(0.01)

asyncio.run(main())
"""
NOTE = "INSERT INTO changes (kind, service, summary, author) VALUES ('flag', '', 'TERM', '')"


@contextmanager
def child(url: str) -> Iterator[subprocess.Popen[str]]:
    """A watch of its own process, leading."""
    started = subprocess.Popen([sys.executable, "-c", CHILD, url, NOTE], stdout=subprocess.PIPE, text=True)
    try:
        assert started.stdout is not None
        assert started.stdout.readline().startswith("lead")
        yield started
    finally:
        started.kill()
        started.wait()


@pytest.mark.gen_test
async def test_one_of_two_leads_and_an_orderly_stop_hands_over_at_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_store, "TAKEN_OVER_AFTER_S", NEVER_S)
    async with database(database_url) as db:
        ran: list[tuple[str, int]] = []

        def watch(made: Process) -> Watch:
            async def run(term: int) -> None:
                ran.append((made.name, term))

            return Watch(db, made, [Job("note", 0.02, run, 1)])

        one, two = watch(await process(db, "one")), watch(await process(db, "two"))
        await one.start()
        await until(lambda: one.term == 1, "the first to lead")
        await two.start()
        await until(lambda: len(ran) > 3, "the job")
        assert two.term is None
        assert set(ran) == {("one", 1)}
        await one.close()
        await until(lambda: two.term == 2, "the second to lead")
        await until(lambda: ("two", 2) in ran, "its job")
        await two.close()


@pytest.mark.gen_test
async def test_many_that_race_have_one_leader(database_url: str) -> None:
    async with database(database_url) as db:
        leases = [Lease(db, await process(db, f"w{number}")) for number in range(8)]
        await asyncio.gather(*(lease.step() for lease in leases))
        held = [lease for lease in leases if lease.held]
        assert [lease.term for lease in held] == [1]
        await asyncio.gather(*(lease.step() for lease in leases))
        assert [lease for lease in leases if lease.held] == held
        for lease in leases:
            await lease.close()


@pytest.mark.gen_test
async def test_a_killed_watch_is_replaced(database_url: str) -> None:
    with child(database_url) as first:
        async with database(database_url) as db:
            watch = Watch(db, await process(db, "second"), [])
            await watch.start()
            await asyncio.sleep(0.3)
            first.kill()
            await until(lambda: watch.term is not None, "the second to lead")
            assert watch.term == row(database_url)[1] == 2
            await watch.close()


@pytest.mark.gen_test
async def test_a_frozen_watch_is_replaced_and_steps_down_when_it_thaws(database_url: str) -> None:
    with child(database_url) as first:
        async with database(database_url) as db:
            watch = Watch(db, await process(db, "second"), [])
            await watch.start()
            first.send_signal(signal.SIGSTOP)
            await until(lambda: watch.term == 2, "the second to lead")
            first.send_signal(signal.SIGCONT)
            assert first.stdout is not None
            assert await asyncio.to_thread(first.stdout.readline) == "lead None\n"
            await asyncio.sleep(0.3)  # what was under way at the server when it was cut off may still commit
            notes = await count(db, "changes")
            await asyncio.sleep(0.3)
            assert await count(db, "changes") == notes  # its jobs have stopped
            assert row(database_url) == (watch.process.id, 2)
            await watch.close()


@pytest.mark.gen_test
async def test_a_lost_database_ends_the_lead_in_time_and_it_comes_back(database_url: str) -> None:
    async with database(database_url) as db:
        watch = Watch(db, await process(db, "only"), [])
        await watch.start()
        await until(lambda: watch.term == 1, "to lead")
        db.url, kept = "postgresql://127.0.0.1:1/nowhere", db.url
        with psycopg.connect(kept, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test lease'"
            )
        lost_at = time.monotonic()
        await until(lambda: watch.term is None, "to step down")
        assert watch.lease._sure_until - SURE_S <= lost_at, "it was never sure of what it did not renew"
        assert SURE_S < watch_store.TAKEN_OVER_AFTER_S
        db.url = kept
        await until(lambda: watch.term == 2, "to lead again")
        await watch.close()


@pytest.mark.gen_test
async def test_jobs_do_not_overlap_fail_alone_and_are_cut_off(database_url: str) -> None:
    ran: list[str] = []
    inside = 0

    async def slow(term: int) -> None:
        nonlocal inside
        inside += 1
        assert inside == 1
        ran.append("slow")
        await asyncio.sleep(0.08)
        inside -= 1

    async def broken(term: int) -> None:
        ran.append("broken")
        raise RuntimeError("always")

    async def endless(term: int) -> None:
        ran.append("endless")
        await asyncio.Event().wait()

    jobs = [Job("slow", 0.01, slow, 1), Job("broken", 0.01, broken, 1), Job("endless", 0.01, endless, 0.05)]
    async with database(database_url) as db:
        watch = Watch(db, await process(db, "only"), jobs)
        await watch.start()
        await until(lambda: all(ran.count(job.name) >= 3 for job in jobs), "every job to run again")
        await watch.close()
        assert inside in (0, 1)
        ended = len(ran)
        await asyncio.sleep(0.1)
        assert len(ran) == ended


@pytest.mark.gen_test
async def test_a_daily_job_runs_soon_after_gaining_the_lease_unless_it_says_later(database_url: str) -> None:
    ran: list[str] = []
    done = asyncio.Event()

    def noting(name: str) -> Callable[[int], Awaitable[None]]:
        async def run(term: int) -> None:
            ran.append(name)
            if name == "soon":
                done.set()

        return run

    delays = {"in an hour": 3600.0, "later": 0.5, "daily": 0.0, "soon": 1.0}
    jobs = [Job(name, 86400, noting(name), 10, first_s=first_s) for name, first_s in delays.items()]
    async with database(database_url) as db:
        watch = Watch(db, await process(db, "only"), jobs)
        await watch.start()
        await asyncio.wait_for(done.wait(), PATIENCE_S)
        await watch.close()
    assert ran == ["daily", "later", "soon"]


@pytest.mark.gen_test
async def test_what_comes_each_second_is_spread_over_it(database_url: str) -> None:
    """Those of one moment would each open a connection beyond those that the pool keeps, and plan anew on it."""
    async with database(database_url) as db:
        busy, most, runs = 0, 0, 0

        async def run(_: int) -> None:
            nonlocal busy, most, runs
            busy, runs = busy + 1, runs + 1
            most = max(most, busy)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            busy -= 1

        watch = Watch(db, await process(db, "one"), [Job(f"job {place}", 1.0, run, 1) for place in range(7)])
        await watch.start()
        await until(lambda: runs >= 21, "three runs of each")
        await watch.close()
        assert most <= 2


@pytest.mark.gen_test
async def test_an_outage_is_logged_once_a_job_and_its_end(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    runs = 0

    async def run(_: int) -> None:
        nonlocal runs
        runs += 1
        if runs <= 3:
            raise psycopg.OperationalError("the outcomes' own database is away")

    async with database(database_url) as db:
        watch = Watch(db, await process(db, "one"), [Job("sweep", 0.02, run, 1)])
        with caplog.at_level("INFO", "evenkeel.watch"):
            await watch.start()
            await until(lambda: runs >= 5, "it to work again")
            await watch.close()
    said = [record.getMessage() for record in caplog.records if "sweep" in record.getMessage()]
    assert said == [
        "job sweep failed, and goes on being tried",
        "job sweep has its database again",
    ]
