"""The fold: everything once, whatever dies in between."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from server.live import fold_store
from server.live.deltas import Delta
from server.live.fold import Fold
from server.process.watch import Fenced
from tests.live.rollups import check, lead, nothing, rolled
from tests.live.writing import Sample, Writer, database

BASE = 1_790_000_000 // 3600 * 3600


def some(random_: random.Random, count: int) -> list[Sample]:
    return [
        Sample(
            BASE + random_.randrange(3 * 3600),
            random_.choice([0, 1, 900, 12_345, 400_000, 90_000_000]),
            random_.random() < 0.2,
            route=random_.choice(["/pay", "/cart"]),
        )
        for _ in range(count)
    ]


@pytest.mark.gen_test
async def test_rollups_equal_the_outcomes(database_url: str) -> None:
    lead(database_url, 1)
    random_, samples = random.Random(1), list[Sample]()
    writers = [Writer(database_url) for _ in range(3)]
    async with database(database_url) as db:
        fold = Fold(db, nothing)
        for _ in range(6):
            for writer in writers:
                for _ in range(random_.randrange(4)):
                    batch = some(random_, random_.randrange(1, 40))
                    writer.flush(batch)
                    samples += batch
            await fold.run(1)
        check(database_url, samples)


@pytest.mark.gen_test
async def test_a_crash_before_the_commit_leaves_nothing_and_the_next_fold_does_it(database_url: str) -> None:
    lead(database_url, 1)
    samples = some(random.Random(2), 100)
    Writer(database_url).flush(samples)

    async def crash(connection: AsyncConnection, deltas: Sequence[Delta]) -> None:
        raise RuntimeError("the ledger failed")

    async with database(database_url) as db:
        with pytest.raises(RuntimeError):
            await Fold(db, crash).run(1)
        assert rolled(database_url, "minutes", "minute") == {}
        await Fold(db, nothing).run(1)
        await Fold(db, nothing).run(1)
    check(database_url, samples)


@pytest.mark.gen_test
async def test_a_server_side_kill_anywhere_counts_nothing_twice(database_url: str) -> None:
    """The backend is killed inside the transaction, at a random moment, while writers go on."""
    lead(database_url, 1)
    random_, samples = random.Random(3), list[Sample]()
    writer = Writer(database_url)

    async def slow(connection: AsyncConnection, deltas: Sequence[Delta]) -> None:
        await asyncio.sleep(0.02)

    async with database(database_url) as db:
        fold = Fold(db, slow)
        for _ in range(15):
            batch = some(random_, 20)
            writer.flush(batch)
            samples += batch
            run = asyncio.create_task(fold.run(1))
            await asyncio.sleep(random_.random() * 0.06)
            writer.connection.execute(
                "SELECT pg_terminate_backend(pid, 10000)"  # back once it has ended: the last run meets none of them
                " FROM pg_stat_activity WHERE application_name = 'test control'"
            )
            await asyncio.gather(run, return_exceptions=True)
        await fold.run(1)
    check(database_url, samples)


@pytest.mark.gen_test
async def test_two_that_fold_at_once_count_once(database_url: str) -> None:
    lead(database_url, 1)
    random_, samples = random.Random(4), list[Sample]()
    writers = [Writer(database_url) for _ in range(2)]
    async with database(database_url) as one, database(database_url) as two:
        for _ in range(10):
            for writer in writers:
                batch = some(random_, 30)
                writer.flush(batch)
                samples += batch
            await asyncio.gather(Fold(one, nothing).run(1), Fold(two, nothing).run(1))
    check(database_url, samples)


@pytest.mark.gen_test
async def test_an_old_term_commits_nothing(database_url: str) -> None:
    lead(database_url, 2)
    samples = some(random.Random(5), 10)
    Writer(database_url).flush(samples)
    async with database(database_url) as db:
        with pytest.raises(Fenced):
            await Fold(db, nothing).run(1)
        assert rolled(database_url, "minutes", "minute") == {}
        await Fold(db, nothing).run(2)
    check(database_url, samples)


@pytest.mark.gen_test
async def test_the_ledger_sees_exactly_what_is_folded(database_url: str, monkeypatch: Any) -> None:
    """Also with a backlog that takes several transactions, which never split a flush."""
    monkeypatch.setattr("server.live.fold.ROWS", 7)
    lead(database_url, 1)
    random_ = random.Random(6)
    writer, batches = Writer(database_url), [some(random_, 5) for _ in range(20)]
    for batch in batches:
        writer.flush(batch)
    seen: list[list[Delta]] = []

    async def ledger(connection: AsyncConnection, deltas: Sequence[Delta]) -> None:
        seen.append(list(deltas))

    async with database(database_url) as db:
        await Fold(db, ledger).run(1)
    samples = [sample for batch in batches for sample in batch]
    check(database_url, samples)
    assert len(seen) > 5
    deltas = [delta for part in seen for delta in part]
    assert sum(delta.n for delta in deltas) == len(samples)
    assert sum(delta.bad for delta in deltas) == sum(sample.bad for sample in samples)
    good_and_fast = sum(not s.bad and s.duration_us <= 300_000 for s in samples)
    assert sum(delta.fast.get(300_000, 0) for delta in deltas) == good_and_fast
    assert {delta.series.service for delta in deltas} == {"shop"}


@pytest.mark.gen_test
async def test_a_writer_without_a_cursor_is_adopted_and_folded_once(database_url: str) -> None:
    lead(database_url, 1)
    samples = some(random.Random(7), 10)
    Writer(database_url).flush([])
    lost = Writer(database_url, register=False)
    lost.flush(samples)
    async with database(database_url) as db:
        for _ in range(2):
            async with db.act() as connection:
                await fold_store.adopt(connection)
            await Fold(db, nothing).run(1)
    check(database_url, samples)


# Folds in a process of its own and sends itself a signal in the middle of the transaction.
CHILD = """
import asyncio, os, sys
from server.kernel.db import Database
from server.live.fold import Fold

async def stop(connection, deltas):
    os.kill(os.getpid(), int(sys.argv[2]))

asyncio.run(Fold(Database(sys.argv[1]), stop).run(1))
"""


@pytest.mark.gen_test
@pytest.mark.parametrize("signal_", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_watch_killed_or_frozen_in_the_middle_is_replaced_and_counts_nothing(
    database_url: str, signal_: signal.Signals
) -> None:
    lead(database_url, 1)
    samples = some(random.Random(8), 50)
    Writer(database_url).flush(samples)
    child = subprocess.Popen([sys.executable, "-c", CHILD, database_url, str(int(signal_))], stderr=subprocess.PIPE)
    try:
        await asyncio.to_thread(os.waitid, os.P_PID, child.pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT)
        lead(database_url, 2)
        async with database(database_url) as db:
            begun = time.monotonic()
            await Fold(db, nothing).run(2)
            assert time.monotonic() - begun < 20  # a frozen transaction is ended by the server after 2 s
            check(database_url, samples)
            if signal_ == signal.SIGSTOP:
                child.send_signal(signal.SIGCONT)
                assert await asyncio.to_thread(child.wait) == 1
                await Fold(db, nothing).run(2)
        check(database_url, samples)
    finally:
        child.kill()
        child.communicate()
