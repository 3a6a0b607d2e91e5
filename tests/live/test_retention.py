"""What ages out: never what was not folded, never what a window still needs, never somebody who lives."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest

from server.live.fold import Fold
from server.live.retention_store import Retention
from tests.live.rollups import lead, nothing
from tests.live.writing import Sample, Writer, database


def ask(url: str, query: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        return [row[0] for row in cursor.fetchall()] if cursor.description else []


@pytest.mark.gen_test
async def test_deltas_go_when_folded_and_stored_long_ago_and_of_an_old_second(
    database_url: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr("server.live.retention_store.BITE", 2)
    lead(database_url, 1)
    writer, now = Writer(database_url), int(time.time())
    for _ in range(5):
        writer.flush([Sample(now - 5000)])
    writer.flush([Sample(now - 100)])
    ask(database_url, "UPDATE deltas SET written_at = now() - interval '20 min'")
    writer.flush([Sample(now - 5000)])
    ask(database_url, "UPDATE deltas SET written_at = now() WHERE seq = 7")
    async with database(database_url) as db:
        await Retention(db).forget_old_deltas(1)
        assert len(ask(database_url, "SELECT seq FROM deltas")) == 7  # none is folded
        await Fold(db, nothing).run(1)
        writer.flush([Sample(now - 5000)])
        ask(database_url, "UPDATE deltas SET written_at = now() - interval '20 min' WHERE seq = 8")
        await Retention(db).forget_old_deltas(1)
    assert ask(database_url, "SELECT seq FROM deltas ORDER BY seq") == [6, 7, 8]


@pytest.mark.gen_test
async def test_rollups_are_kept_for_their_days(database_url: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("server.live.retention_store.BITE", 2)
    days = "(VALUES (0), (6), (8), (34), (36), (399), (401)) AS d (day)"
    at = "now() - day * interval '1 day'"
    ask(database_url, f"INSERT INTO minute_sketches SELECT day, {at}, '{{}}' FROM {days}")
    ask(database_url, f"INSERT INTO minutes SELECT day, {at}, 1, 0, 0, '{{}}' FROM {days}")
    ask(database_url, f"INSERT INTO hours SELECT day, {at}, 1, 0, 0, '{{}}', '{{}}' FROM {days}")
    spans = f"{days}, (VALUES (60), (43200)) AS s (span_s)"
    ask(database_url, f"INSERT INTO service_rollups SELECT 'a', '', span_s, {at}, '', day, 0, '{{}}' FROM {spans}")
    async with database(database_url) as db:
        await Retention(db).forget_old_rollups(1)
    kept_s = {s: ask(database_url, f"SELECT n FROM service_rollups WHERE span_s = {s} ORDER BY 1") for s in (60, 43200)}
    assert kept_s == {60: [0, 6], 43200: [0, 6, 8, 34, 36, 399]}
    kept = {
        t: ask(database_url, f"SELECT series_id FROM {t} ORDER BY 1") for t in ("minute_sketches", "minutes", "hours")
    }
    assert kept == {"minute_sketches": [0, 6], "minutes": [0, 6, 8, 34], "hours": [0, 6, 8, 34, 36, 399]}


@pytest.mark.gen_test
async def test_the_dead_are_forgotten_at_the_second_look_and_who_wakes_up_is_not(database_url: str) -> None:
    for name, silent in (("alive", "1 s"), ("dead", "2 days"), ("asleep", "2 days")):
        ask(
            database_url,
            f"""
            INSERT INTO processes (kind, name, host, pid, version, heartbeat_at)
            VALUES ('web', '{name}', 'h', 1, '1', now() - interval '{silent}')
            """,
        )
    ask(database_url, "INSERT INTO receipts (process_id, revision) SELECT id, 1 FROM processes")
    names = "SELECT name FROM processes ORDER BY name"
    async with database(database_url) as db:
        retention = Retention(db)
        await retention.forget_old_rollups(1)
        assert ask(database_url, names) == ["alive", "asleep", "dead"]
        ask(database_url, "UPDATE processes SET heartbeat_at = now() WHERE name = 'asleep'")
        await retention.forget_old_rollups(1)
        assert ask(database_url, names) == ["alive", "asleep"]
        assert len(ask(database_url, "SELECT process_id FROM receipts")) == 2


@pytest.mark.gen_test
async def test_a_writer_is_forgotten_only_without_deltas_and_without_its_process(database_url: str) -> None:
    ask(
        database_url,
        """
        INSERT INTO processes (kind, name, host, pid, version) VALUES ('web', 'alive', 'h', 1, '1');
        INSERT INTO writers (id, process_id, created_at) SELECT 101, id, now() - interval '2 h' FROM processes;
        INSERT INTO writers (id, process_id, created_at) VALUES (102, 999, now() - interval '2 h'), (103, 999, now()),
            (104, 999, now() - interval '2 h');
        INSERT INTO deltas (writer_id, seq, series_id, second, n, bad, duration_us, fast, sketch)
        VALUES (104, 1, 1, now(), 1, 0, 0, '{}', '{}')
        """,
    )
    async with database(database_url) as db:
        await Retention(db).forget_old_rollups(1)
    assert ask(database_url, "SELECT id FROM writers ORDER BY id") == [101, 103, 104]
