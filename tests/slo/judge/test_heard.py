"""From deltas in PostgreSQL to the fast test: what the tail hands on, at a rebuild and as it follows."""

from __future__ import annotations

import psycopg
import pytest

from server.live.tail import Tail
from server.slo.judge.streams import Streams
from tests.live.writing import Sample, Writer, database
from tests.slo.judging import objective

END = 1_790_000_100

WORKS = objective()
FAST = objective("0.99", id=2, kind="latency", threshold_us=300_000)
OTHER = objective("0.99", id=3, kind="latency", threshold_us=200_000)


def second(at: int, *, bad: bool = False, slow: bool = False, route: str = "/pay") -> list[Sample]:
    return [Sample(at, 400_000 if slow else 10_000, bad, route=route) for _ in range(20)]


def onsets(streams: Streams, end: int) -> list[int | None]:
    verdicts = streams.verdicts([WORKS, FAST, OTHER], end)
    return [verdicts[number].onset for number in (1, 2, 3)]


@pytest.mark.gen_test
async def test_each_objective_hears_its_own(database_url: str) -> None:
    writer = Writer(database_url)  # measures 300 ms, not 200
    for at in range(END - 60, END - 10):
        writer.flush(second(at))
    streams = Streams()
    tail = Tail(streams.hear)
    async with database(database_url) as db:
        async with db.ask() as connection:
            windows = await tail.rebuild(connection, END - 10, ())
        assert onsets(streams, END - 10) == [None, None, None]
        for at in range(END - 10, END - 4):
            writer.flush(second(at, slow=True))
            async with db.ask() as connection:
                await tail.follow(connection, windows, at + 1)
            onsets(streams, at + 1)
        assert onsets(streams, END - 4) == [None, END - 10, None]
        for at in range(END - 4, END):
            writer.flush(second(at, bad=True))
        async with db.ask() as connection:
            await tail.follow(connection, windows, END)
        assert onsets(streams, END)[0] == END - 4
        again = Streams()
        async with db.ask() as connection:
            await Tail(again.hear).rebuild(connection, END, ())
        assert onsets(again, END)[:2] == [END - 4, END - 10]


@pytest.mark.gen_test
async def test_what_failed_while_nobody_watched_is_heard_from_its_beginning(database_url: str) -> None:
    writer = Writer(database_url)
    for at in range(END - 400, END):
        writer.flush(second(at, bad=at >= END - 300))
    streams = Streams()
    async with database(database_url) as db, db.ask() as connection:
        await Tail(streams.hear).rebuild(connection, END, (), unheard=END - 395)
    assert onsets(streams, END)[0] == END - 300
    assert streams.verdicts([WORKS], END)[1].total == 300 * 20
    writer.close()


@pytest.mark.gen_test
async def test_what_an_exclusion_covers_is_not_heard(database_url: str) -> None:
    writer = Writer(database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO exclusions (service, route, start, stop, reason, author) "
            "VALUES ('shop', '/load', to_timestamp(%s), to_timestamp(%s), 'load test', 'mira')",
            (END // 60 * 60 - 60, END // 60 * 60 + 60),
        )
    streams = Streams()
    async with database(database_url) as db:
        for route, found in (("/load", None), ("/pay", END - 5)):
            for at in range(END - 5, END):
                writer.flush(second(at, bad=True, route=route))
            async with db.ask() as snapshot:
                await Tail(streams.hear).rebuild(snapshot, END, ())
            assert onsets(streams, END)[0] == found
    writer.close()
