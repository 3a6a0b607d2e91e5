"""The live checks: what they judge, and what they read from a real database."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import psycopg
import pytest

from checks import cardinality, disk, drains, duration_units, loop_lag, partitions, spool, stragglers, watch
from checks.check import ROOT, Surroundings
from checks.store import DurationBucket, SilentProcess
from server.auth.keys import create_key
from server.ingest.spool.spool_place import SpoolWaiting
from server.kernel.db import Database
from server.live.fold import Fold
from server.live.sketch import bucket
from server.picture.picture import Picture
from server.selfcheck.findings import Finding, status_of
from tests.conftest import MakeEnv
from tests.live.rollups import lead, nothing
from tests.live.writing import Sample, Writer, database


def row(
    label: str = "h/web.1",
    kind: str = "web",
    version: str = "1.0.0",
    age: float = 900.0,
    beat: float = 0.5,
    revision: int | None = 7,
) -> SilentProcess:
    return SilentProcess(label, kind, version, age, beat, 1.0, revision)


def wheres(findings: list[Finding]) -> list[str]:
    return [finding.where for finding in findings]


def test_a_spool_without_room_and_what_waits_in_it_are_found() -> None:
    assert spool.room(10 << 20, 10 << 20, "/data/spool") == []
    assert [one.what for one in spool.room(3 << 20, 10 << 20, "/data/spool")] == [
        "The spool may take 10 MiB more, its disk has room for 3 MiB."
    ]
    assert spool.judged(SpoolWaiting(7, 900, 1000.0, 0), 1060.0, "") == []
    late, aside = spool.judged(SpoolWaiting(7, 900, 1000.0, 2), 1300.0, "")
    assert late.what == "7 outcomes wait for 300 s, though the database answers."
    assert (aside.level, "2 files are put aside" in aside.what) == ("fail", True)


def test_a_straggler_is_named() -> None:
    rows = [row(), row("h/web.2", revision=6), row("h/web.3", revision=None), row("h/watch.1", "watch", revision=None)]
    assert wheres(stragglers.behind(rows, (7, 60.0))) == ["h/web.2", "h/web.3"]


@pytest.mark.parametrize(
    ("late", "in_force"),
    [
        (row(revision=6), (7, 3.0)),  # the revision is seconds old
        (row(revision=None, age=2.0), (7, 900.0)),  # the process is
        (row(revision=6, beat=20.0), (7, 60.0)),  # it is silent, and named for that
        (row(revision=8), (7, 60.0)),  # applied between our two reads
        (row(revision=None), None),  # there is no revision
    ],
)
def test_who_is_not_a_straggler(late: SilentProcess, in_force: tuple[int, float] | None) -> None:
    assert stragglers.behind([late], in_force) == []


def test_the_silent_one_is_named() -> None:
    assert wheres(stragglers.silent([row(), row("h/web.2", beat=12.0)])) == ["h/web.2"]


def test_two_versions_are_a_deploy_for_an_hour() -> None:
    assert stragglers.mixed([row(), row(version="1.1.0")]) == []
    assert stragglers.mixed([row(age=9000), row(version="1.1.0", age=4000)])
    assert stragglers.mixed([row(age=9000), row(age=9000)]) == []
    assert stragglers.mixed([]) == []


@pytest.mark.parametrize(
    ("ages", "words"),
    [
        ((0.5, 0.5, 20.0), []),
        ((None, None, 0.0), ["never renewed"]),
        ((9.0, 0.5, 0.0), ["last renewed 9.0 s ago"]),
        ((0.5, None, 0.0), ["never made"]),
        ((0.5, 8.0, 400.0), ["last made 8.0 s ago", "waited 400 s"]),
        ((0.5, 0.5, 0.0, 4.0), []),
        ((0.5, 0.5, 0.0, 40.0), ["not been evaluated for 40 s"]),
    ],
)
def test_the_watch(ages: tuple[float, float, float], words: list[str]) -> None:
    found = watch.judged(*ages)
    assert len(found) == len(words)
    assert all(word in finding.what for word, finding in zip(words, found, strict=True))


def test_lag_is_a_warning_before_it_is_a_failure() -> None:
    found = loop_lag.judged({"a": 10.0, "b": 400.0, "c": 3000.0})
    assert [(finding.where, finding.level) for finding in found] == [("b", "warn"), ("c", "fail")]


@pytest.mark.parametrize(
    ("total", "free", "status"),
    [(100, 50, "pass"), (100, 12, "warn"), (1000, 40, "fail"), (3, 0.4, "fail")],
)
def test_room(total: float, free: float, status: str) -> None:
    found = disk.judged(Path("/data"), int(total * disk.GIB), int(free * disk.GIB), disk.GIB)
    assert status_of(found) == status


def test_caps(make_env: MakeEnv) -> None:
    env = make_env(SERVICES_MAX="10", ROUTES_MAX="10", VERSIONS_MAX="10")
    found = cardinality.judged(3, [("pay", 10, 9), ("cart", 8, 1)], env)
    assert ["New ones" in finding.what for finding in found] == [True, False]
    assert cardinality.judged(10, [], env)


@pytest.mark.gen_test
async def test_they_read_a_real_database(database_url: str, make_env: MakeEnv) -> None:
    """An empty database: no watch, and nothing else to say."""
    db = Database(database_url)
    around = Surroundings(ROOT, make_env(), db)
    try:
        assert status_of(await watch.run(around)) == "fail"
        for check in (stragglers, loop_lag, disk, cardinality):
            assert await check.run(around) == [], check.__name__
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("""
                INSERT INTO processes (kind, name, host, pid, version, heartbeat_at, loop_lag_ms)
                VALUES ('web', 'web.1', 'h', 1, '1', now() - interval '20 s', 700)""")
            connection.execute("""
                INSERT INTO processes (kind, name, host, pid, version, heartbeat_at, stopped_at)
                VALUES ('web', 'web.2', 'h', 2, '1', now() - interval '20 s', now())""")
            connection.execute("UPDATE lease SET process_id = 1, renewed_at = now()")
            body = msgspec.json.encode(Picture(1, 0.0, 1, "h/watch.1", [], [], 0, None))
            connection.execute("INSERT INTO picture VALUES (1, 1, 1, now(), %s)", (body,))
            connection.execute("INSERT INTO writers (id, process_id, folded_seq) VALUES (1, 1, 1)")
            for seq, age in ((1, 900), (2, 400), (3, 1)):
                connection.execute(
                    "INSERT INTO deltas (writer_id, seq, series_id, second, n, bad, duration_us, fast, sketch, "
                    "written_at) VALUES (1, %s, 1, now(), 1, 0, 1, '{}', '{}', now() - make_interval(secs => %s))",
                    (seq, age),
                )
        assert wheres(await stragglers.run(around)) == ["h/web.1"]
        (waited,) = await watch.run(around)
        assert "400 s" in waited.what
    finally:
        await db.close()


@pytest.mark.gen_test
async def test_a_drain_that_is_silent_since_a_restart_is_named(database_url: str, make_env: MakeEnv) -> None:
    """Of four that sent each minute: one goes on, one sent seldom, one has a key that is revoked."""
    db = Database(database_url)
    around = Surroundings(ROOT, make_env(), db)
    try:
        async with db.act() as connection:
            keys = {name: (await create_key(connection, name, ["ingest"], actor="test")).id for name in "abcd"}
        minutes = {"a": range(7, 40), "b": range(40), "c": range(7, 40, 5), "d": range(7, 40)}
        with psycopg.connect(database_url, autocommit=True) as connection:
            for name, ago in minutes.items():
                for n in ago:
                    connection.execute(
                        "INSERT INTO received VALUES (date_trunc('minute', now() - make_interval(mins => %s)), 1,"
                        " 'Heroku', %s, 'accepted', 1, 1, 1, now() - make_interval(mins => %s), '')",
                        (n, keys[name], n),
                    )
            connection.execute("UPDATE api_keys SET revoked_at = now() WHERE id = %s", (keys["d"],))
            assert await drains.run(around) == []
            connection.execute("""
                INSERT INTO processes (kind, name, host, pid, version, heartbeat_at, started_at)
                VALUES ('web', 'web.1', 'h', 1, '1', now(), now() - interval '6 minutes')""")
        assert [(one.where, one.what) for one in await drains.run(around)] == [
            ("a", "The Heroku drain of a is silent for 7 min, since a restart.")
        ]
    finally:
        await db.close()


NOON = 1_800_000_000.0 // 86400 * 86400 + 43200


def names(*offsets: int) -> list[str]:
    start = datetime.fromtimestamp(NOON, UTC)
    return [f"outcomes_{start + timedelta(days=offset):%Y%m%d}" for offset in offsets]


@pytest.mark.parametrize(
    ("offsets", "words"),
    [
        ((-1, 0, 1, 2, 3), []),
        ((0, 1), ["1 days ahead"]),
        ((0,), ["no partition for tomorrow"]),
        ((-1, 1, 2, 3), ["no partition for today"]),
        ((), ["no partition for today"]),
        ((0, 1, 3), ["1 days ahead"]),  # a gap
        ((-8, -2, 0, 1, 2, 3), []),  # over since last night: the watch may still be at it
        ((-12, -10, 0, 1, 2, 3), ["older than 7 days are still there: 2"]),
    ],
)
def test_partitions(offsets: tuple[int, ...], words: list[str]) -> None:
    found = partitions.judged(names(*offsets), NOON, 7)
    assert len(found) == len(words)
    assert all(word in finding.what for word, finding in zip(words, found, strict=True))


def sketches(before: Callable[[float], float], now: Callable[[float], float]) -> list[DurationBucket]:
    """Some hundreds of durations of one service, spread over a factor of ten; 20 ms in the middle."""
    spread = [20_000 * 10 ** ((number - 150) / 300) for number in range(300)]
    rows = [DurationBucket(True, "shop", "", bucket(int(before(each))), 1) for each in spread]
    return rows + [DurationBucket(False, "shop", "v2", bucket(int(now(each))), 1) for each in spread]


def test_a_sender_that_changes_the_unit_of_its_durations_is_named() -> None:
    same = sketches(lambda us: us, lambda us: us * 2)
    assert duration_units.judged(same) == []
    (longer,) = duration_units.judged(sketches(lambda us: us, lambda us: us * 1000))
    assert longer.what.startswith("Half of the durations of version v2 of shop are 19.8 s or less, 1,003 times")
    assert longer.what.endswith("what they were (20 ms).")
    (shorter,) = duration_units.judged(sketches(lambda us: us, lambda us: us / 1000))
    assert "th of what they were" in shorter.what
    slow = sketches(lambda us: us, lambda us: 30_000_000 if us > 12_000 else us)  # most time out
    assert duration_units.judged(slow) == []
    few = [row for row in sketches(lambda us: us, lambda us: us * 1000) if row.before or row.bucket % 4 == 0]
    assert duration_units.judged(few) == []


@pytest.mark.gen_test
async def test_the_unit_of_durations_is_read_from_the_rollups(database_url: str) -> None:
    writer, now = Writer(database_url), int(time.time())
    writer.flush([Sample(now - 5 * 3600, 20_000)] * 200 + [Sample(now - 90, 20_000_000, version="v2")] * 200)
    lead(database_url, 1)
    async with database(database_url) as db:
        await Fold(db, nothing).run(1)
        found = await duration_units.run(Surroundings(ROOT, db=db))
    assert [finding.where for finding in found] == ["shop"]
    assert "version v2 of shop" in found[0].what
