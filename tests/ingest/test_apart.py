"""Outcomes in a database of their own: in both, or counted in neither, and found there."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import psycopg
import pytest

from server.doctor.asking import of_database
from server.ingest import flush as flushes
from server.ingest import item_store
from server.ingest.apart import settle_marks
from server.ingest.batch import StoredBatch
from server.ingest.item_claims import item_of
from server.ingest.known_items import ItemChunk, ItemLook
from server.ingest.partitions import ensure_partitions
from server.kernel.connection import Connection
from server.kernel.db import Database
from server.kernel.errors import ConfigurationError
from server.kernel.settings import read_environment
from server.live import outcome_store
from server.live.outcome_store import Filter
from server.live.outcomes import outcomes_by_request_id
from server.process import embedded
from server.selfcheck.forecast import Stored
from server.selfcheck.forecast_store import forecast
from server.slo.ledger import rebuild_store
from server.slo.model.objective import Objective
from tests.conftest import made_database
from tests.ingest.bench import Bench, claim
from tests.ingest.making import body, outcome, rows, value
from tests.ingest.outage import seen
from tests.ingest.sending import send
from tests.site import answer
from tests.waiting import until


@pytest.fixture
def apart_url(cluster: embedded.Cluster, template: str) -> Iterator[str]:
    yield from made_database(cluster, template)


@dataclass
class Both:
    """A writer on two databases."""

    bench: Bench
    apart: str

    async def store(self, *outcomes: dict[str, Any], key: str) -> StoredBatch:
        batch = await self.bench.batch(*outcomes, claim=claim(key))
        await self.bench.writer.store([batch], 5.0)
        return await batch.done

    def counts(self) -> tuple[int, int, int]:
        """Outcomes counted, outcomes kept, and marks."""
        counted = value(self.bench.url, "SELECT coalesce(sum(n), 0)::int FROM deltas")
        assert value(self.bench.url, "SELECT count(*) FROM outcomes") == 0
        kept = value(self.apart, "SELECT count(*) FROM outcomes")
        return counted, kept, value(self.apart, "SELECT count(*) FROM flush_marks")


@pytest.fixture
def both(io_loop: Any, database_url: str, apart_url: str) -> Iterator[Both]:
    async def made() -> Both:
        db = Database(database_url, "test", outcomes_url=apart_url)
        await ensure_partitions(db.of_outcomes, time.time(), 7)
        return Both(Bench(database_url, db), apart_url)

    found: Both = io_loop.run_sync(made)
    yield found
    io_loop.run_sync(found.bench.close)


@pytest.mark.gen_test
async def test_what_is_acknowledged_is_in_both_and_its_mark_is_forgotten(both: Both) -> None:
    await both.store(outcome(), outcome(), key="one")
    assert (await both.store(outcome(), outcome(), key="one")).repeated
    assert both.counts() == (2, 2, 1)
    await settle_marks(both.bench.db, 0)
    assert both.counts() == (2, 2, 0)


@pytest.mark.gen_test
async def test_what_is_never_counted_is_swept_and_sent_again_is_stored_once(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies between the two commits; what it had stored a moment before stays."""
    await both.store(outcome(request_id="kept"), key="one")

    async def dies(*_: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(flushes, "copy_deltas", dies)
        with pytest.raises(asyncio.CancelledError):
            await both.store(outcome(request_id="twice"), outcome(request_id="twice"), key="two")
    assert both.counts() == (1, 3, 2)
    await both.store(outcome(request_id="twice"), outcome(request_id="twice"), key="two")
    await settle_marks(both.bench.db, 0)
    assert both.counts() == (3, 3, 0)
    assert rows(both.apart, "SELECT request_id, count(*) FROM outcomes GROUP BY 1 ORDER BY 1") == [
        ("kept", 1),
        ("twice", 2),
    ]


@pytest.mark.gen_test
async def test_what_is_being_counted_is_left_alone(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = flushes.copy_deltas

    async def after_a_sweep(*given: Any) -> None:
        await settle_marks(both.bench.db, 0)
        assert value(both.apart, "SELECT count(*) FROM flush_marks") == 1
        await copies(*given)

    monkeypatch.setattr(flushes, "copy_deltas", after_a_sweep)
    await both.store(outcome(), key="one")
    await settle_marks(both.bench.db, 0)
    assert both.counts() == (1, 1, 0)


@pytest.mark.gen_test
async def test_outcomes_are_found_with_their_series(both: Both) -> None:
    sent = [outcome(request_id=f"r{n}", route=f"/{n % 3}", status=500 if n % 2 else 200) for n in range(6)]
    await both.store(*sent, key="one")
    db = both.bench.db
    async with db.ask() as connection, db.rows_beside(connection) as there:
        (found,) = await outcomes_by_request_id(connection, "r4", there)
        assert (found.service, found.route, found.request_id) == ("checkout", "/1", "r4")
        assert await outcomes_by_request_id(connection, "none", there) == []
        newest = await outcome_store.newest(connection, Filter("checkout", "/1"), None, 10, there)
        assert {one.outcome.request_id for one in newest} == {"r1", "r4"}
        assert await outcome_store.newest(connection, Filter("other"), None, 10, there) == []
        since = found.timestamp.replace(year=found.timestamp.year - 1)
        failing = await outcome_store.newest_failing(connection, "checkout", since, None, 10, rows=there)
        assert {one.request_id for one in failing} == {"r1", "r3", "r5"}


@pytest.mark.gen_test
async def test_while_it_is_away_batches_are_spooled_and_counting_alone_goes_on(
    # What asks for it goes before what it asks: PostgreSQL drops no database while a COPY waits for its client.
    database_url: str,
    apart_url: str,
    web: Any,
) -> None:
    site = await web(OUTCOMES_DATABASE_URL=apart_url, SPOOL="on")
    key = await site.key("ingest")
    assert (await send(site, key, body(outcome()))).code == 201
    assert (stored := await stored_apart(site)) is not None
    assert stored.bytes_a_day > 0
    section = (await of_database(site.env))[-1]
    assert (section.title, section.facts["marks"], section.wrong) == ("Outcomes' own database", 1, [])
    name = psycopg.conninfo.conninfo_to_dict(apart_url)["dbname"]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        spooled = await send(site, key, body(outcome()), Idempotency_Key="once")
        assert (spooled.code, answer(spooled)["stored"]) == (202, "spool")
        health = answer(await site.fetch("/health/ready"))
        (part,) = health["checks"]["outcomes"]
        assert (part["status"], part["mode"]) == ("warn", "outcomes_lost")
        assert await stored_apart(site) is None
        assert (await of_database(site.env))[-1].wrong[0].startswith("No answer")
        await until(lambda: "spool_waits" in seen(site), "the disk to be looked at")
        assert seen(site).keys() == {"outcomes_lost", "spool_waits"}
        assert seen(site)["outcomes_lost"].kept.startswith("1 outcome waits on this machine's disk.")
        await counted_without_rows(site)
        for _ in range(2):  # and not only once: a batch that was stored is no sign that the other database is back
            assert (await send(site, key, body(outcome(service="counted")))).code == 201
        assert value(database_url, COUNTED.format("counted")) == 2
        assert site.parts.intake.waiting().items == 1
        started = await web("web.2", OUTCOMES_DATABASE_URL=apart_url, SPOOL="on")
        assert (await started.fetch("/health/ready")).code == 200
        connection.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
    await until(lambda: value(apart_url, "SELECT count(*) FROM outcomes") == 2, "the replay")
    await until(lambda: not site.parts.intake.waiting().items, "the spool to be empty")
    assert (await send(site, key, body(outcome()), Idempotency_Key="once")).code in (201, 202)  # what it was answered
    assert value(apart_url, "SELECT count(*) FROM outcomes") == 2
    assert value(database_url, COUNTED.format("checkout")) == 2


COUNTED = "SELECT sum(n)::int FROM deltas d JOIN series s ON s.id = d.series_id WHERE service = '{}'"


async def stored_apart(site: Any) -> Stored | None:
    """What the forecast knows of the second database."""
    async with site.parts.db.ask() as asked:
        return (await forecast(asked, site.parts.db, site.env, time.time())).apart


async def counted_without_rows(site: Any) -> None:
    """Turn INGEST_STORE_OUTCOMES off, as a person does on Config."""
    asked = {"values": {"INGEST_STORE_OUTCOMES": False}, "reason": "the second database is away"}
    headers = {"If-Match": '"1"', "Content-Type": "application/json"}
    key = await site.key("act", "read")
    saved = await site.fetch("/api/v1/config", method="PATCH", key=key, data=asked, headers=headers)
    assert saved.code == 200, saved.body
    await until(lambda: not site.parts.settings.limits_for(1).ingest_store_outcomes, "the setting to be in force")


LATENCY = Objective("fast", "", "checkout", "latency", Fraction(9, 10), 20_000, 7)
COUNTED_MINUTE = """
    INSERT INTO minutes (series_id, minute, n, bad, duration_us, fast)
    SELECT id, date_trunc('minute', now()) - make_interval(mins => %s), %s, 0, 0, '{}'
    FROM series WHERE service = 'checkout'
"""


@pytest.mark.gen_test
async def test_a_threshold_is_measured_anew_from_outcomes_elsewhere(both: Both) -> None:
    minute = int(time.time()) // 60 * 60
    for back, counted in ((2, 2), (3, 3)):  # of the older minute one outcome is missing
        at = minute - back * 60
        slow = outcome(timestamp=f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}", duration_ms=30)
        await both.store(slow, slow | {"duration_ms": 10}, key=str(back))
        with psycopg.connect(both.bench.url) as connection:
            connection.execute(COUNTED_MINUTE, (back, counted))
    db = both.bench.db
    async with db.rewrite() as connection, db.rows_beside(connection) as there:
        unproven = await rebuild_store.measure(connection, there, LATENCY, minute - 600, minute)
    assert unproven == minute - 180
    measured = "SELECT pair & 4294967295 FROM minutes, unnest({}) AS pair WHERE pair >> 32 = 20000"
    assert rows(both.bench.url, measured.format("fast")) == rows(both.bench.url, measured.format("slow")) == [(1,)]


def test_an_address_that_gains_nothing_is_refused() -> None:
    main = {"DATABASE_URL": "postgres://h/one", "SECRET_KEY": secrets.token_hex(16)}
    assert read_environment(main | {"OUTCOMES_DATABASE_URL": "postgres://h/two"}).outcomes_database_url
    with pytest.raises(ConfigurationError, match="same as DATABASE_URL"):
        read_environment(main | {"OUTCOMES_DATABASE_URL": "postgres://h/one"})
    with pytest.raises(ConfigurationError, match="goes with DATABASE_URL"):
        read_environment({"OUTCOMES_DATABASE_URL": "postgres://h/two"})


@pytest.mark.gen_test
async def test_rows_of_items_that_another_process_counts_meanwhile_are_swept(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim_items, came = item_store.claim, False

    async def store(*items: int) -> None:
        batch = await both.bench.batch(*[outcome() for _ in items])
        batch.item_claims = b"".join(item_of(1_000, b"%012d" % item) for item in items)
        await both.bench.writer.store([batch], 5.0)

    async def overtaken(connection: Connection, look: ItemLook) -> list[ItemChunk]:
        nonlocal came
        if not came:
            came = True
            with psycopg.connect(both.bench.url) as other:
                chunk = item_of(1_000, b"%012d" % 2)
                other.execute("INSERT INTO item_chunks (second, items) VALUES (1000, %s)", (chunk,))
        return await claim_items(connection, look)

    monkeypatch.setattr(item_store, "claim", overtaken)
    await store(1, 2)
    assert both.counts() == (1, 3, 2)
    await settle_marks(both.bench.db, 0)
    assert both.counts() == (1, 1, 0)
