"""The tick and the relay: from committed deltas to every process, nothing twice and nothing missed."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import psycopg
import pytest

from server.live.windows import LiveWindows
from server.picture import relay as relay_module
from server.picture.picture import Picture
from server.picture.relay import Relay
from server.picture.tick import Tick
from server.picture.windows import WindowsStage
from server.process.process import Process
from server.process.watch import Fenced
from tests.live.rollups import lead
from tests.live.writing import Sample, Writer, unheard
from tests.picture.ticking import no_alerts, objectives, service, stored, ticking
from tests.waiting import NEVER_S, PATIENCE_S, until


@pytest.mark.gen_test
async def test_a_picture_counts_every_flush_of_every_writer_once(database_url: str) -> None:
    random_, writers = random.Random(1), [Writer(database_url) for _ in range(3)]
    sent = bad = 0
    async with ticking(database_url) as (_, _, tick):
        for turn in range(8):
            for writer in writers[: turn % 4]:
                batch = [Sample(int(time.time()) - random_.randrange(5), bad=random_.random() < 0.3) for _ in range(9)]
                writer.flush(batch)
                sent, bad = sent + 9, bad + sum(sample.bad for sample in batch)
            await tick.run(1)
            shown = [s for s in stored(database_url).services if s.name == "shop"]
            assert [(s.n, s.bad) for s in shown] == ([(sent, bad)] if sent else [])


@pytest.mark.gen_test
async def test_a_new_watch_rebuilds_the_same_windows(database_url: str) -> None:
    now, writer, random_ = int(time.time()), Writer(database_url), random.Random(2)
    samples = [Sample(now - random_.randrange(1000), int(random_.lognormvariate(9, 1))) for _ in range(2000)]
    async with ticking(database_url) as (db, bus, tick):
        for start in range(0, 2000, 500):
            writer.flush(samples[start : start + 500])
            await tick.run(1)
        before = service(stored(database_url))
        lead(database_url, 2)
        process = Process(db, "watch", "watch.2")
        await process.register()
        other = Tick(db, bus, process, unheard, objectives, no_alerts)
        while True:
            await other.run(2)
            after = service(stored(database_url))
            await tick_again(tick)
            (mine,) = live(tick).pictures({})
            if mine.points == after.points:
                break
        assert stored(database_url).term == 2
        assert before.n_5m > 0
        for name in ("n", "bad", "n_5m", "bad_5m", "p50_ms", "p95_ms", "p99_ms", "routes", "versions", "last_seen"):
            assert getattr(after, name) == getattr(mine, name), name


def live(tick: Tick) -> LiveWindows:
    """Its windows."""
    (stage,) = (stage for stage in tick.stages if isinstance(stage, WindowsStage))
    assert stage.windows is not None
    return stage.windows


async def tick_again(tick: Tick) -> None:
    """The old watch reads on, though it can no longer write."""
    with pytest.raises(Fenced):
        await tick.run(1)


@pytest.mark.gen_test
async def test_what_a_command_imports_arms_no_silence_also_in_a_new_watch(database_url: str) -> None:
    now, command, sender = int(time.time()), Writer(database_url, process=0), Writer(database_url)
    async with ticking(database_url) as (db, bus, tick):
        await tick.run(1)
        log = [Sample(now - ago) for ago in range(100, 400)]
        command.flush(log + [sample._replace(service="site") for sample in log])
        sender.flush(log)
        await tick.run(1)
        while service(stored(database_url)).silent_s is None:  # seen at the next second
            await asyncio.sleep(0.1)
            await tick.run(1)
        followed = stored(database_url)
        again = Tick(db, bus, tick.process, unheard, objectives, no_alerts)
        await again.run(1)
        for picture in (followed, stored(database_url)):
            assert (service(picture, "site").n_5m > 0, service(picture, "site").silent_s) == (True, None)
            assert (service(picture).silent_s or 0) >= 100
            assert service(picture).usual_per_second == 1.0


@pytest.mark.gen_test
async def test_a_service_is_not_blind_while_a_deploy_exchanges_its_processes(database_url: str) -> None:
    now, sender = int(time.time()), Writer(database_url)
    async with ticking(database_url) as (_, _, tick):
        await tick.run(1)
        sender.flush([Sample(now - ago) for ago in range(30, 400)])
        await tick.run(1)
        while service(stored(database_url)).silent_s is None:  # seen at the next second
            await asyncio.sleep(0.1)
            await tick.run(1)
        with psycopg.connect(database_url) as connection:
            connection.execute(
                "INSERT INTO changes (at, kind, service, version, summary, author, state)"
                " VALUES (now(), 'deploy', %s, 'v2', '', 'ci', 'started')",
                (service(stored(database_url)).name,),
            )
        await tick.run(1)
        assert service(stored(database_url)).silent_s is None
        with psycopg.connect(database_url) as connection:
            connection.execute("UPDATE changes SET state = 'finished', finished = now() - interval '2 min'")
        await tick.run(1)
        assert (service(stored(database_url)).silent_s or 0) >= 20


@pytest.mark.gen_test
async def test_what_comes_late_is_told_apart(database_url: str) -> None:
    """It counts in its own time; also of a service of which nothing else came. An import is not late."""
    writer, command = Writer(database_url), Writer(database_url, process=0)
    async with ticking(database_url) as (_, _, tick):
        await tick.run(1)
        now = int(time.time())
        writer.flush([Sample(now - 90)] * 3 + [Sample(now - 7200)] * 2 + [Sample(now)] * 4)
        writer.flush([Sample(now - 7200, service="other")])
        command.flush([Sample(now - 7200, service="log")] * 5)
        await tick.run(1)
        picture = stored(database_url)
        assert (service(picture).n, service(picture).n_5m, service(picture).late_items) == (4, 7, 5)
        assert (service(picture, "other").n_5m, service(picture, "other").late_items) == (0, 1)
        assert "log" not in {each.name for each in picture.services}


@pytest.mark.gen_test
async def test_a_failure_half_way_counts_nothing_twice(database_url: str) -> None:
    writer, sent = Writer(database_url), 0
    async with ticking(database_url) as (_, _, tick):
        for _ in range(6):
            writer.flush([Sample(int(time.time()))] * 5)
            sent += 5
            run = asyncio.create_task(tick.run(1))
            await asyncio.sleep(random.random() * 0.03)
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
        await tick.run(1)
        assert service(stored(database_url)).n == sent


@pytest.mark.gen_test
async def test_refusals_processes_and_revision_are_in_the_picture(database_url: str) -> None:
    async with ticking(database_url) as (_, _, tick):
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                """
                INSERT INTO intake (slot, process_id, key_id, service, reason, requests, items, bytes, item_sizes,
                    byte_sizes)
                VALUES (now() - interval '20 s', 1, 5, 'shop', 'accepted', 3, 30, 300, '{}', '{}'),
                    (now() - interval '5 min', 1, 5, 'mail', 'accepted', 3, 30, 300, '{}', '{}'),
                    (now() - interval '10 s', 1, 5, '', 'PAYLOAD_TOO_LARGE', 2, 0, 9000000, '{}', '{}'),
                    (now() - interval '90 s', 1, 5, 'shop', 'THROTTLED', 2, 999, 300, '{}', '{}');
                INSERT INTO revisions (number, values, kind, author, reason) VALUES (7, '[]', 'change', 'x', 'y');
                INSERT INTO receipts (process_id, revision, applied_at)
                SELECT id, 7, now() + interval '120 ms' FROM processes
                """
            )
        await tick.run(1)
        picture = stored(database_url)
        assert (service(picture).accepted_items, service(picture).refused_items) == (30, 2)
        assert service(picture).refused_by == "PAYLOAD_TOO_LARGE"
        assert service(picture, "mail").partial
        (process,) = picture.processes
        assert (process.name, process.revision, picture.revision) == ("watch.1", 7, 7)
        assert process.applied_after_ms == pytest.approx(120, abs=1)
        assert picture.slo is not None
        assert sorted(picture.slo.services) == ["mail", "shop"]


@pytest.mark.gen_test
async def test_the_sequence_grows_also_after_the_row_was_lost(database_url: str) -> None:
    async with ticking(database_url) as (_, _, tick):
        await tick.run(1)
        first = stored(database_url).seq
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("TRUNCATE picture")
        await tick.run(1)
        assert stored(database_url).seq > first


@pytest.mark.gen_test
async def test_an_old_term_does_not_replace_the_picture(database_url: str) -> None:
    async with ticking(database_url) as (_, _, tick):
        await tick.run(1)
        seq = stored(database_url).seq
        lead(database_url, 2)
        with pytest.raises(Fenced):
            await tick.run(1)
        assert stored(database_url).seq == seq


@pytest.mark.gen_test
@pytest.mark.parametrize("signals", [True, False])
async def test_the_relay_hands_on_each_picture(
    database_url: str, signals: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "POLL_S", NEVER_S if signals else 0.1)
    async with ticking(database_url) as (db, bus, tick):
        if signals:
            bus.start()
            await until(lambda: bus.listening, "the bus")
        relay, seen, ended = Relay(db, bus), list[int](), list[bool]()
        await relay.start()
        assert relay.picture is None
        assert relay.age_s(time.time()) is None

        def broken(picture: Picture) -> None:
            raise RuntimeError("a listener that fails")

        relay.subscribe(broken)
        leave = relay.subscribe(lambda picture: seen.append(picture.seq), lambda: ended.append(True))
        await tick.run(1)
        await until(lambda: seen, "the picture")
        age = relay.age_s(time.time())
        assert age is not None
        assert 0 <= age < PATIENCE_S
        assert age_grows(relay.age_s)
        relay.end_streams()
        leave()
        assert ended == [True]
        await relay.close()


def age_grows(age_s: Callable[[float], float | None]) -> bool:
    now = time.time()
    return (age_s(now + 50) or 0) - (age_s(now) or 0) == pytest.approx(50, abs=0.01)


@pytest.mark.gen_test
async def test_a_new_watch_tells_for_how_long_nothing_was_evaluated(database_url: str) -> None:
    async with ticking(database_url) as (db, bus, tick):
        await tick.run(1)
        assert stored(database_url).gap is None
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("UPDATE picture SET at = at - interval '4 s'")
        lead(database_url, 2)
        again = Tick(db, bus, tick.process, unheard, objectives, no_alerts)
        for _ in range(2):
            await again.run(2)
            gap = stored(database_url).gap
            assert gap is not None
            assert 4 <= gap.s < 4 + PATIENCE_S
            assert gap.at == pytest.approx(time.time(), abs=PATIENCE_S)
