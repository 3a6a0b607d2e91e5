"""The spool of a web process, on real PostgreSQL: what is acknowledged while it is away is counted once, later."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from server.ingest import store
from server.ingest.decode import Decoded, ItemFault
from server.ingest.patience import PATIENCE_S
from server.ingest.sent import SentBatch
from server.ingest.spool import replay
from server.ingest.spool.spool_place import NOTHING_WAITS, kind_at, mounts, no_spool, waiting_on_machine
from server.ingest.spool.spool_slot import SpoolSlot, segments_in
from tests.ingest.making import body, outcome, value
from tests.ingest.outage import away, read_only, seen
from tests.ingest.sending import URL, send
from tests.site import Site, answer
from tests.waiting import until


def counts(url: str) -> tuple[int, int]:
    """Outcomes kept, and outcomes counted."""
    counted = (
        "SELECT coalesce(sum(n), 0)::int FROM deltas WHERE series_id IN (SELECT id FROM series WHERE service = %s)"
    )
    return value(url, "SELECT count(*) FROM outcomes"), value(url, counted, "checkout")


async def known(*sites: Site) -> str:
    """A key that these know. What it sends is counted under series that they know."""
    key = await sites[0].key("ingest")
    for site in sites:
        assert (await send(site, key, b"[]")).code == 201
        await site.parts.intake.numbering.number({("checkout", None, "/pay", "GET", 200)})
    return key


async def drained(site: Site) -> None:
    await until(lambda: not site.parts.intake.replay.waits and not site.parts.intake.away, "the spool to be replayed")


@pytest.mark.gen_test
async def test_an_outage_loses_and_doubles_nothing(web: Any, database_url: str) -> None:
    site = await web(SPOOL="on")
    key = await site.key("ingest", "read")
    assert (await send(site, key, body(outcome()), Idempotency_Key="before")).code == 201
    at = int(time.time() - 3600)
    with away(database_url):
        told = await send(site, key, body(outcome(timestamp=at * 1000), outcome(route="/new")), Idempotency_Key="one")
        assert (told.code, answer(told)) == (202, {"accepted": 2, "stored": "spool"})
        again = await send(site, key, body(outcome(timestamp=at * 1000), outcome(route="/new")), Idempotency_Key="one")
        assert (again.code, again.headers["Idempotent-Replayed"]) == (202, "true")
        other = await send(site, key, body(outcome()), Idempotency_Key="one")
        assert (other.code, answer(other)["code"]) == (422, "IDEMPOTENCY_MISMATCH")
        assert (await send(site, key, body(outcome()), Idempotency_Key="before")).code == 202
        lines = json.dumps(outcome()).encode() + b'\n{"service": 1}\n' + json.dumps(outcome()).encode()
        partly = await send(site, key, lines, URL + "?partial=true", Content_Type="application/x-ndjson")
        assert (partly.code, answer(partly)["refused_indexes"], answer(partly)["stored"]) == (202, [1], "spool")
        waiting = waiting_on_machine(site.parts.intake.spool.root)
        assert (waiting.items, waiting.since is not None) == (5, True)
        ready = await site.fetch("/health/ready")
        health = {name: part["status"] for name, (part,) in answer(ready)["checks"].items()}
        assert (ready.code, health["database"], health["spool"]) == (200, "warn", "warn")
        waits = await until(lambda: seen(site).get("spool_waits"), "it to be looked at")
        assert waits.says.startswith("5 outcomes wait on this machine's disk since ")
        assert b"\nevenkeel_spool_items" in (await site.fetch("/metrics", key=key)).body
    await drained(site)
    assert counts(database_url) == (5, 5), "of the key that was sent before the outage, nothing twice"
    assert value(database_url, "SELECT sum(n)::int FROM deltas WHERE second = to_timestamp(%s)", at) == 1
    again = await send(site, key, body(outcome(timestamp=at * 1000), outcome(route="/new")), Idempotency_Key="one")
    assert (again.code, answer(again), again.headers["Idempotent-Replayed"]) == (201, {"accepted": 2}, "true")
    assert (await send(site, key, body(outcome()))).code == 201
    assert waiting_on_machine(site.parts.intake.spool.root).bytes == 0
    await until(lambda: not seen(site), "the pages to say no more of it")


@pytest.mark.gen_test
async def test_a_database_that_takes_no_writes_or_is_slow_is_away(web: Any, database_url: str) -> None:
    site = await web(SPOOL="on")
    key = await known(site)
    with read_only(database_url):
        assert (await send(site, key, body(outcome()))).code == 202
        await until(lambda: site.parts.intake.replay._loop.failing, "it to try, and not to be deceived")
        assert site.parts.intake.away
    await drained(site)
    async with await psycopg.AsyncConnection.connect(database_url) as blocker:
        await blocker.execute("LOCK TABLE outcomes IN ACCESS EXCLUSIVE MODE")
        assert (await send(site, key, body(outcome()))).code == 202
        await blocker.rollback()
    await drained(site)
    assert counts(database_url) == (2, 2)


@pytest.mark.gen_test
async def test_a_new_series_waits_no_longer_for_a_database_that_hangs(
    web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which does not even answer that it should stop."""
    site = await web(SPOOL="on")
    key = await known(site)
    asked = asyncio.Event()

    async def hangs(*_: Any, **__: Any) -> None:
        await asked.wait()

    monkeypatch.setattr(psycopg.AsyncConnection, "cancel_safe", hangs)
    monkeypatch.setattr("server.ingest.numbering.LIMIT_S", 1000.0)
    monkeypatch.setattr("server.kernel.connection.LATER_S", 1000.0)  # cut, it is not cancelled
    with psycopg.connect(database_url) as connection:
        connection.execute("LOCK TABLE series")
        told = await send(site, key, body(outcome(route="/never-seen")))
        assert (told.code, answer(told)["stored"]) == (202, "spool")
    asked.set()
    await drained(site)
    assert counts(database_url) == (1, 1)


@pytest.mark.gen_test
async def test_what_we_held_up_ourselves_is_not_taken_for_a_slow_database(
    web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PATIENCE_S, "flush", 0.3)
    site = await web(SPOOL="on")
    key = await known(site)
    intake = site.parts.intake
    with psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE outcomes IN ACCESS EXCLUSIVE MODE")
        sending = asyncio.ensure_future(send(site, key, body(outcome())))
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'RowExclusiveLock'"
        while value(database_url, waits) == 0:
            await asyncio.sleep(0)
        blocker.rollback()
        time.sleep(0.5)  # the database answers, and nobody here looks
    assert ((await sending).code, intake.away) == (201, False)


@pytest.mark.parametrize("became", ["committed", "aborted", "lost in a failover"])
@pytest.mark.gen_test
async def test_a_flush_whose_commit_was_not_answered_is_spooled_and_counts_once(
    web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch, became: str
) -> None:
    site = await web(SPOOL="on")
    key = await known(site)
    assert (await send(site, key, body(outcome()))).code == 201
    if became == "lost in a failover":  # then its number is that of another transaction, which was committed
        of_another = int(value(database_url, "SELECT pg_current_xact_id()::text"))
        begin = store.begin_traced

        async def begun(*given: Any) -> int:
            await begin(*given)
            return of_another

        monkeypatch.setattr(store, "begin_traced", begun)
    async with site.parts.intake.writer._connection.use() as connection:
        execute = connection.execute

    async def cut(statement: Any, *rest: Any, **options: Any) -> Any:
        if statement != "COMMIT":
            return await execute(statement, *rest, **options)
        if became == "committed":
            await execute(statement)
        away_now.__enter__()
        raise psycopg.OperationalError("the line went dead")

    away_now = away(database_url)
    monkeypatch.setattr(connection, "execute", cut)
    assert (await send(site, key, body(outcome(), outcome()))).code == 202
    away_now.__exit__(None, None, None)
    await drained(site)
    assert counts(database_url) == (3, 3)


@pytest.mark.gen_test
async def test_what_was_stored_and_not_removed_counts_nothing_at_the_next_start(
    web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await web(SPOOL="on")
    key = await known(site)
    stored, loop = asyncio.Event(), asyncio.get_running_loop()

    def killed(*_: Any) -> None:
        loop.call_soon_threadsafe(stored.set)
        raise RuntimeError("killed between the commit and the removal")

    with monkeypatch.context() as patched:
        patched.setattr(SpoolSlot, "remove", killed)
        with away(database_url):
            for number in range(3):
                assert (await send(site, key, body(outcome()), Idempotency_Key=f"k{number % 2}")).code == 202
            assert (await send(site, key, body(outcome(), outcome()))).code == 202
        await stored.wait()
        await site.web.close()
    assert counts(database_url) == (4, 4)
    assert waiting_on_machine(site.parts.intake.spool.root).bytes > 0
    root = site.parts.intake.spool.root
    await web(SPOOL="off")  # nothing more is spooled then, and what waits is stored
    await until(lambda: waiting_on_machine(root).bytes == 0, "the spool to be replayed")
    assert counts(database_url) == (4, 4)


@pytest.mark.gen_test
async def test_each_process_has_its_own_and_keys_hold_for_the_machine(
    web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.ingest.spool.replay.LEFT_S", 0.0)
    first, second = await web(SPOOL="on"), await web("web.2", SPOOL="on")
    key = await known(first, second)
    with away(database_url):
        assert (await send(first, key, body(outcome()), Idempotency_Key="one")).code == 202
        again = await send(second, key, body(outcome()), Idempotency_Key="one")
        assert (again.code, again.headers.get("Idempotent-Replayed")) == (202, "true")
        assert (await send(second, key, body(outcome()), Idempotency_Key="two")).code == 202
        folders = {site.parts.intake.spool.folder.slot.folder for site in (first, second)}
        assert {len(segments_in(folder)) for folder in folders} == {1}
        await first.web.close()
    await until(lambda: counts(database_url) == (2, 2), "what the first has left to be replayed by the second")


@pytest.mark.gen_test
async def test_a_key_that_waits_holds_until_it_is_replayed(
    web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is back, and what comes now goes there before what waits: no other body takes its key."""
    site = await web(SPOOL="on")
    key = await known(site)
    replay_loop, again = site.parts.intake.replay, asyncio.Event()
    segment = replay_loop._segment

    async def held(*given: Any) -> None:
        await again.wait()
        await segment(*given)

    monkeypatch.setattr(replay_loop, "_segment", held)
    with away(database_url):
        assert (await send(site, key, body(outcome()), Idempotency_Key="one")).code == 202
    site.parts.intake.writer.worked()
    await until(lambda: not site.parts.intake.away, "the database to be there")
    assert (await send(site, key, body(outcome()), Idempotency_Key="two")).code == 201
    other = await send(site, key, body(outcome(), outcome()), Idempotency_Key="one")
    assert (other.code, answer(other)["code"]) == (422, "IDEMPOTENCY_MISMATCH")
    same = await send(site, key, body(outcome()), Idempotency_Key="one")
    assert (same.code, same.headers["Idempotent-Replayed"]) == (202, "true")
    again.set()
    await drained(site)
    assert counts(database_url) == (2, 2)
    assert waiting_on_machine(site.parts.intake.spool.root).aside == 0


@pytest.mark.gen_test
async def test_a_full_spool_and_a_full_disk_refuse(
    web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await web(SPOOL="on", SPOOL_MAX_BYTES="1048576")
    key = await known(site)
    write = os.write
    many = body(*[outcome(route="/" + "x" * 400)] * 900)

    def full(file: int, data: bytes) -> int:
        if len(data) < 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data[: len(data) // 2])  # as a disk does: a part of it first

    with away(database_url):
        assert (await send(site, key, body(outcome()))).code == 202
        with monkeypatch.context() as patched:
            patched.setattr("server.ingest.spool.spool_slot.os.write", full)
            refused = await send(site, key, body(outcome()))
            assert (refused.code, refused.headers["Retry-After"]) == (503, "5")
            assert answer(refused)["detail"].startswith("The disk is full: nothing more can be stored")
            assert (await site.fetch("/health/ready")).code == 503
            assert seen(site)["spool_refuses"].says.startswith("Outcomes are refused: The disk is full")
        await until(
            lambda: not site.parts.intake.spool.refusing, "it to be seen that there is room, though nobody sends"
        )
        assert [(await send(site, key, many)).code for _ in range(2)] == [202, 202]
        refused = await send(site, key, many)
        assert (refused.code, answer(refused)["code"]) == (503, "UNAVAILABLE")
        assert "full (1 MiB)" in answer(refused)["detail"]
    await drained(site)
    assert counts(database_url) == (1801, 1801)


@pytest.mark.gen_test
async def test_with_a_full_spool_what_does_not_fit_is_too_much_load(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database answers, only not soon enough for all that comes."""
    site = await web(SPOOL="on")
    key = await known(site)
    intake = site.parts.intake
    monkeypatch.setattr(intake.queue, "items", 1)
    monkeypatch.setattr(intake.queue.admission, "wait_s", lambda _: 9.0)
    with monkeypatch.context() as patched:
        patched.setattr(intake.spool.folder, "most_bytes", 0)
        told = [answer(await send(site, key, body(outcome())))["code"] for _ in range(2)]
        assert told == ["UNAVAILABLE", "QUEUE_FULL"]
        assert seen(site).keys() == {"overloaded"}
    assert (await send(site, key, body(outcome()))).code == 202


@pytest.mark.gen_test
async def test_what_cannot_be_replayed_is_put_aside_and_stops_nothing(
    web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "LEFT_S", 0.01)
    site = await web(SPOOL="on")
    key = await known(site)
    spool = site.parts.intake.spool
    with away(database_url):
        assert (await send(site, key, body(outcome()))).code == 202
        (segment,) = segments_in(spool.folder.slot.folder)
        damaged = bytearray(segment.path.read_bytes())
        damaged[40] ^= 1
        segment.path.write_bytes(damaged)
        await spool.do(spool.folder.slot.seal)
        assert (await send(site, key, body(outcome(), outcome()))).code == 202
    await drained(site)
    assert counts(database_url) == (2, 2)
    assert waiting_on_machine(spool.root).aside == 1
    damaged[40] ^= 1
    (segment.folder / "aside" / segment.name).write_bytes(damaged)
    (segment.folder / "aside" / segment.name).rename(segment.path)  # as the check says
    await until(lambda: not segment.path.exists(), "what was moved up to be tried again")
    assert counts(database_url) == (3, 3)
    assert spool.folder.slot.bytes == 0


@pytest.mark.gen_test
async def test_what_a_newer_version_refuses_of_a_batch_is_put_aside(
    web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await web(SPOOL="on")
    key = await known(site)
    spool = site.parts.intake.spool
    decoded = SentBatch.decoded

    def stricter(sent: SentBatch) -> Decoded:
        found = decoded(sent)
        found.faults = [ItemFault(0, "route", "is not taken any more")]
        del found.outcomes[0], found.times[0]
        return found

    with away(database_url):
        assert (await send(site, key, body(outcome(), outcome()))).code == 202
        monkeypatch.setattr(SentBatch, "decoded", stricter)
    await drained(site)
    assert counts(database_url) == (1, 1)
    assert waiting_on_machine(spool.root).aside == 1


@pytest.mark.gen_test
async def test_without_a_spool_it_is_refused(web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.ingest.intake.REFUSED_AFTER_S", 0.2)
    site = await web(SPOOL="off")
    key = await known(site)
    assert (await send(site, key, body(outcome()))).code == 201
    with away(database_url):
        assert (await send(site, key, body(outcome()))).code == 503


def test_foreign_files_among_those_of_the_spool_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "1").write_text("a file where a directory would be")
    for folder, name in (("2", "copy.spool"), ("3", "0000000000000001-nohexdigits00000.spool")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text("not ours")
    slot = SpoolSlot.take(tmp_path)
    assert (slot.folder.name, slot.oldest(), slot._begin().name.endswith(".spool")) == ("2", None, True)
    assert waiting_on_machine(tmp_path / "2" / "copy.spool") == NOTHING_WAITS
    slot.close()
    assert waiting_on_machine(tmp_path) == NOTHING_WAITS


def test_where_there_is_a_lasting_disk(make_env: Callable[..., Any]) -> None:
    assert no_spool(make_env(SPOOL="off")) == "SPOOL is off."
    assert no_spool(make_env(SPOOL="on")) == ""
    assert "dyno" in no_spool(make_env(DYNO="web.1"))
    kinds = mounts(
        [
            "22 1 0:20 / / rw,relatime shared:1 - overlay overlay rw",
            "23 22 8:1 / /data\\040here rw - ext4 /dev/sda1 rw",
            "24 22 0:5 / /dev/shm rw - tmpfs tmpfs rw",
        ]
    )
    places = make_env().data_dir.parents[-1]
    assert [kind_at(places / name, kinds) for name in ("srv/app", "data here/ek", "dev/shm/x")] == [
        "overlay",
        "ext4",
        "tmpfs",
    ]
