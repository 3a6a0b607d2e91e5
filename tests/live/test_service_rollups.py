"""Rollups by service: what the outcomes say, through crashes, older watches beside, and while they are made anew."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.db import Database
from server.live import fold_store, questions
from server.live.deltas import Delta
from server.live.fold import Fold
from server.live.service_rollups import ServiceRollups
from server.live.service_rollups_store import cover
from server.live.sketch import bucket
from server.process.watch import Fenced
from tests.live.rollups import lead, made, nothing
from tests.live.writing import Sample, Writer, database

SPANS = {"": (60, 600, 3600, 43_200), "route": (3600, 43_200), "version": (3600, 43_200)}
DAY_S = 86_400
Table = dict[tuple[str, str, int, int, str], tuple[int, int, dict[int, int]]]


def some(random_: random.Random, now: int, count: int) -> list[Sample]:
    """Over three days, a third in the last minutes."""
    return [
        Sample(
            now - int(random_.choice([200, 7200, 3 * DAY_S]) * random_.random()),
            random_.choice([0, 1, 900, 12_345, 400_000]),
            random_.random() < 0.2,
            service=random_.choice(["shop", "shop", "mail"]),
            route=random_.choice(["/pay", "/cart"]),
            version=random_.choice(["v1", ""]),
        )
        for _ in range(count)
    ]


def expected(samples: Sequence[Sample], now: int) -> Table:
    """One by one; the half day that goes on is left to its hours."""
    rows: dict[tuple[str, str, int, int, str], list[Sample]] = {}
    for sample in samples:
        for part, name in (("", ""), ("route", sample.route), ("version", sample.version)):
            for span_s in SPANS[part]:
                at = sample.second // span_s * span_s
                if span_s == 43_200 and at + span_s > now:
                    continue
                rows.setdefault((sample.service, part, span_s, at, name), []).append(sample)
    return {
        key: (len(group), sum(s.bad for s in group), dict(Counter(bucket(s.duration_us) for s in group)))
        for key, group in rows.items()
    }


def stored(url: str) -> Table:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT service, part, span_s, extract(epoch FROM at)::bigint, name, n, bad, sketch FROM service_rollups"
        ).fetchall()
    assert all(row[7] == sorted(row[7]) for row in rows)
    return {tuple(row[:5]): (row[5], row[6], {pair >> 32: pair & 0xFFFFFFFF for pair in row[7]}) for row in rows}


@contextmanager
def older_watch() -> Iterator[None]:
    """One that folds, and knows nothing of these rollups."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fold_store, "ADDED", "nothing AS (SELECT)")
        yield


async def right(db: Database, samples: Sequence[Sample], now: int) -> None:
    """What readers get, whole, by route and version, and over time."""
    async with db.ask() as connection:
        for seconds in (7200, 3 * DAY_S):
            pieces = questions.window(seconds, now)
            mine = [s for s in samples if s.service == "shop" and pieces.start <= s.second < pieces.stop]
            for by, names in ((None, {""}), ("route", {"/pay", "/cart"}), ("version", {"v1", ""})):
                for row in await questions.summary(connection, "shop", seconds, now, by):
                    here = [s for s in mine if by is None or getattr(s, by) == row.name]
                    assert row.name in names
                    assert (row.volume, row.bad) == (len(here), sum(s.bad for s in here)), (seconds, row.name)
        answer = await questions.series(connection, "shop", "latency", now - DAY_S, now, step_s=600, now=now)
        for point in answer.points:
            at = point.at.timestamp()
            assert point.volume == sum(
                s.service == "shop" and at <= s.second < at + 600 for s in samples if s.second < answer.stop.timestamp()
            )


async def covered(db: Database) -> bool:
    async with db.ask() as connection:
        return (await cover(connection))[:2] == (0, 0)


@pytest.mark.gen_test
async def test_the_fold_adds_what_the_outcomes_say_whatever_crashes(database_url: str) -> None:
    lead(database_url, 1)
    random_, now, samples = random.Random(7), int(time.time()), list[Sample]()
    writers = [Writer(database_url) for _ in range(2)]

    async def crash(connection: AsyncConnection, deltas: Sequence[Delta]) -> None:
        raise RuntimeError("the ledger failed")

    async with database(database_url) as db:
        await made(db, 1)
        for writer in writers * 2:
            batch = some(random_, now, 60)
            writer.flush(batch)
            samples += batch
            with pytest.raises(RuntimeError):
                await Fold(db, crash).run(1)
            await right(db, samples, now)
            await Fold(db, nothing).run(1)
            await right(db, samples, now)
        assert await covered(db)
    assert stored(database_url) == expected(samples, now)


@pytest.mark.gen_test
async def test_what_was_folded_before_is_made_newest_first_and_right_at_each_bite(database_url: str) -> None:
    lead(database_url, 1)
    random_, now = random.Random(8), int(time.time())
    samples = some(random_, now, 60)
    writer = Writer(database_url)
    writer.flush(samples)
    async with database(database_url) as db:
        with older_watch():
            await Fold(db, nothing).run(1)
        assert stored(database_url) == {}
        job, more, bites = ServiceRollups(db), True, 0
        while more:
            more, bites = await job.once(1), bites + 1
            late = some(random_, now, 2)
            writer.flush(late)
            samples += late
            await Fold(db, nothing).run(1)
            if bites % 16 < 2:
                await right(db, samples, now)
        assert await covered(db)
    assert stored(database_url) == expected(samples, now)


@pytest.mark.gen_test
async def test_readers_never_believe_them_while_or_after_an_older_watch_folds(database_url: str) -> None:
    random_, now, samples = random.Random(9), int(time.time()), list[Sample]()
    writer = Writer(database_url)

    async def folded(db: Database, term: int) -> None:
        batch = some(random_, now, 60)
        writer.flush(batch)
        samples.extend(batch)
        lead(database_url, term)
        await Fold(db, nothing).run(term)
        await right(db, samples, now)

    async with database(database_url) as db:
        await folded(db, 1)
        await made(db, 1)
        await folded(db, 2)
        await made(db, 2)
        assert await covered(db), "a watch after one that vouched"
        with older_watch():
            await folded(db, 3)
        await folded(db, 4)
        assert not await covered(db)
        with pytest.raises(Fenced):
            await ServiceRollups(db).run(3)
        await made(db, 4)
        assert await covered(db)
        await right(db, samples, now)
    assert stored(database_url) == expected(samples, now)


@pytest.mark.gen_test
async def test_a_half_day_is_read_from_its_hours_until_it_is_over_and_made(database_url: str) -> None:
    lead(database_url, 1)
    now = int(time.time())
    samples = some(random.Random(10), now, 200)
    Writer(database_url).flush(samples)
    async with database(database_url) as db:
        await Fold(db, nothing).run(1)
        await made(db, 1)
        with psycopg.connect(database_url, autocommit=True) as connection:  # as they were a day ago
            connection.execute("UPDATE rollup_cover SET halves_until = halves_until - interval '1 day'")
            old = "span_s = 43200 AND at >= (SELECT halves_until FROM rollup_cover)"
            assert connection.execute(f"UPDATE service_rollups SET n = 0 WHERE {old}".encode()).rowcount
        await right(db, samples, now)
        await made(db, 1)
        await right(db, samples, now)
    assert stored(database_url) == expected(samples, now)
