"""Two watches that keep taking the lease from each other under traffic: every outcome counts once."""

from __future__ import annotations

import asyncio
import random
import time

import psycopg
import pytest

from server.kernel.bus import Bus
from server.kernel.db import Database
from server.live.fold import Fold
from server.picture.tick import Tick
from server.process.process import Process
from server.process.watch import Job, Watch
from tests.live.rollups import check, nothing, rolled
from tests.live.writing import Sample, Writer, database, unheard
from tests.picture.ticking import no_alerts, objectives, service, stored
from tests.waiting import until


async def candidate(db: Database, bus: Bus, name: str) -> Watch:
    """A watch that ticks and folds as fast as it can."""
    process = Process(db, "watch", name)
    await process.register()
    tick, fold = Tick(db, bus, process, unheard, objectives, no_alerts), Fold(db, nothing)
    return Watch(db, process, [Job("tick", 0.05, tick.run, 5), Job("fold", 0.03, fold.run, 5)])


def pictured(url: str) -> int:
    """How many outcomes the picture shows; none while no watch has held the lease for as long as a tick takes."""
    with psycopg.connect(url) as connection:
        if connection.execute("SELECT 1 FROM picture").fetchone() is None:
            return 0
    return sum(each.n for each in stored(url).services)


@pytest.mark.gen_test
async def test_the_lease_taken_again_and_again_counts_nothing_twice(database_url: str) -> None:
    random_, samples = random.Random(1), list[Sample]()
    writers = [Writer(database_url) for _ in range(3)]
    async with database(database_url) as one, database(database_url) as two:
        bus = Bus(one, None)
        watches = [await candidate(one, bus, "one"), await candidate(two, bus, "two")]
        led = set[int]()
        for watch in watches:
            await watch.start()
        with psycopg.connect(database_url, autocommit=True) as thief:
            begun = time.monotonic()
            while time.monotonic() - begun < 4:
                writer = random_.choice(writers)
                batch = [Sample(int(time.time()) - random_.randrange(20), bad=random_.random() < 0.2) for _ in range(5)]
                writer.flush(batch)
                samples += batch
                if random_.random() < 0.05:
                    thief.execute("UPDATE lease SET renewed_at = NULL, term = term + 1")
                await asyncio.sleep(random_.random() * 0.02)
                led |= {watch.term for watch in watches if watch.term}
        assert len(led) > 2
        await until(
            lambda: sum(n for n, *_ in rolled(database_url, "minutes", "minute").values()) >= len(samples), "fold"
        )
        await until(lambda: pictured(database_url) >= len(samples), "the picture")
        assert service(stored(database_url)).n == len(samples)
        assert service(stored(database_url)).bad == sum(sample.bad for sample in samples)
        check(database_url, samples)
        for watch in watches:
            await watch.close()
        await bus.close()
    for writer in writers:
        writer.close()
