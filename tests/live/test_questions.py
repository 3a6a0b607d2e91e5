"""Questions: equal to what the outcomes themselves say, whatever is folded and whatever is not."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import pytest

from server.kernel.db import Database
from server.live import questions
from server.live.fold import Fold
from server.live.sketch import rank
from tests.live.rollups import lead, made, nothing
from tests.live.writing import Sample, Writer, database


def between(samples: Sequence[Sample], start: float, stop: float) -> list[Sample]:
    return [sample for sample in samples if start <= sample.second < stop]


def close(answered: float | None, samples: Sequence[Sample], q: float) -> bool:
    """Within 1 % of the nearest rank."""
    if not samples:
        return answered is None
    true = sorted(sample.duration_us for sample in samples)[rank(len(samples), q) - 1]
    assert answered is not None
    return abs(answered * 1000 - true) <= 0.01 * true


def some(random_: random.Random, now: int, count: int) -> list[Sample]:
    """Over the last hours, half of them in the last 20 minutes, some a little ahead."""
    return [
        Sample(
            now + 30 - int(random_.choice([1230, 4 * 3600]) * random_.random()),
            int(random_.lognormvariate(10, 2)),
            random_.random() < 0.1,
            service=random_.choice(["shop", "shop", "mail"]),
            route=random_.choice(["/pay", "/cart", "/"]),
            status=random_.choice([200, 404]),
        )
        for _ in range(count)
    ]


async def partly_folded(db: Database, url: str, seed: int) -> tuple[int, list[Sample]]:
    lead(url, 1)
    random_, now = random.Random(seed), int(time.time())
    writers, samples = [Writer(url), Writer(url)], list[Sample]()
    for turn in range(10):
        batch = some(random_, now, 200)
        writers[turn % 2].flush(batch)
        samples += batch
        if turn == 6:
            await Fold(db, nothing).run(1)
    for writer in writers:
        writer.close()
    return now, samples


@pytest.mark.gen_test
@pytest.mark.parametrize("seconds", [1, 60, 300, 900, 3600, 3 * 3600, 86400])
async def test_a_summary_is_what_the_outcomes_say(database_url: str, seconds: int) -> None:
    async with database(database_url) as db:
        now, samples = await partly_folded(db, database_url, seconds)
        async with db.ask() as connection:
            pieces = questions.window(seconds, now)
            (row,) = await questions.summary(connection, "shop", seconds, now)
            groups = await questions.summary(connection, "shop", seconds, now, "route")
        await made(db, 1)
        async with db.ask() as connection:
            assert await questions.summary(connection, "shop", seconds, now) == [row]
            assert await questions.summary(connection, "shop", seconds, now, "route") == groups
        mine = [s for s in between(samples, pieces.start, pieces.stop) if s.service == "shop"]
        assert (row.volume, row.bad) == (len(mine), sum(s.bad for s in mine))
        assert row.error_ratio == (row.bad / row.volume if mine else None)
        assert row.requests_per_second == len(mine) / (pieces.stop - pieces.start)
        assert close(row.p50_ms, mine, 0.5)
        assert close(row.p95_ms, mine, 0.95)
        assert close(row.p99_ms, mine, 0.99)
        assert {group.name: group.volume for group in groups} == {
            route: n for route in ("/pay", "/cart", "/") if (n := sum(s.route == route for s in mine))
        }
        for group in groups:
            assert close(group.p95_ms, [s for s in mine if s.route == group.name], 0.95)


@pytest.mark.gen_test
@pytest.mark.parametrize(("age", "step"), [(600, 7), (900, 60), (3600, 60), (4 * 3600, 600), (5 * 3600, 3600)])
async def test_a_series_is_what_the_outcomes_say(database_url: str, age: int, step: int) -> None:
    async with database(database_url) as db:
        now, samples = await partly_folded(db, database_url, age)
        async with db.ask() as connection:
            answer = await questions.series(connection, "shop", "latency", now - age, now, step_s=step, now=now)
            ratios = await questions.series(connection, "shop", "error_ratio", now - age, now, step_s=step, now=now)
        await made(db, 1)
        async with db.ask() as connection:
            again = await questions.series(connection, "shop", "latency", now - age, now, step_s=step, now=now)
        assert again == answer
        start, stop = answer.start.timestamp(), answer.stop.timestamp()
        assert start <= now - age
        mine = [s for s in between(samples, start, stop) if s.service == "shop"]
        for point, ratio in zip(answer.points, ratios.points, strict=True):
            at = point.at.timestamp()
            here = between(mine, at, at + step)
            assert point.volume == ratio.volume == len(here)
            assert close(point.p95_ms, here, 0.95)
            assert ratio.value == (sum(s.bad for s in here) / len(here) if here else None)
        assert sum(point.volume for point in answer.points) == len(mine)


@pytest.mark.gen_test
async def test_services_by_name_with_no_traffic_as_no_value(database_url: str) -> None:
    now = int(time.time())
    writer = Writer(database_url)
    writer.flush([Sample(now - 10, bad=True), Sample(now - 10), Sample(now - 4000, service="batch")])
    async with database(database_url) as db, db.ask() as connection:
        batch, shop = await questions.services(connection, now)
    assert (batch.name, batch.volume, batch.error_ratio) == ("batch", 0, None)
    assert (shop.name, shop.volume, shop.error_ratio, shop.routes) == ("shop", 2, 0.5, 1)
