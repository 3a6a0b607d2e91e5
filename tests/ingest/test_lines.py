"""Log lines: within their bounds, stored with their outcomes, once."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg
import pytest

from server.auth.identity import Identity
from server.ingest.lines.line import ROW_BYTES, LogLine, bounded, line_rows, oldest_line
from server.ingest.lines.line_intake import LineIntake
from server.ingest.post import AskedPost, OutcomesPost
from server.ingest.sent import SentBatch, packed, unpacked
from server.kernel.db import Database
from server.kernel.settings import read_environment
from tests.ingest.making import body, outcome, rows, value
from tests.ingest.outage import away
from tests.ingest.test_apart import Both, apart_url, both  # noqa: F401 - fixtures
from tests.ingest.test_spool import drained
from tests.site import answer
from tests.waiting import until

NOW_US = int(time.time() * 1_000_000)
DAY_US = 86_400_000_000


def line(**given: Any) -> LogLine:
    return LogLine(**({"service": "checkout", "at": NOW_US, "message": "paid"} | given))


def test_a_line_is_bounded_and_free_of_secrets() -> None:
    sent = line(message="a\0b\ud800 Bearer abcdefgh1 " + "x" * 20_000, severity=99, instance="i" * 300)
    found = bounded(sent)
    assert found.message.startswith("ab? Bearer … x")
    assert (len(found.message), len(found.instance), found.severity, found.cut) == (16_384, 200, 24, True)
    assert bounded(line()) == line()


def test_a_batch_of_before_is_read_and_lines_come_back_as_they_went() -> None:
    before = SentBatch(b"[]", "array", NOW_US, 0, 5, True, True, b"r" * 10, 0, b"{}", b"d" * 16, b"", False)
    as_list = msgspec.msgpack.decode(packed(before)[1:])
    assert unpacked(b"\x01" + msgspec.msgpack.encode(as_list[:-1])) == before, "a segment without lines"
    before.lines = [line(trace_id="t"), line(at=0, cut=True)]
    assert unpacked(packed(before)) == before


@pytest.mark.gen_test
async def test_what_is_over_a_day_of_another_key_or_too_old_is_left_and_counted() -> None:
    env = read_environment({"LOG_BYTES_A_DAY": "1048576"})
    db: Any = None
    intake = LineIntake(env, db)
    long = line(message="m" * 500_000)  # cut to 16,384
    many = [long] * 80
    taken = await intake.admit([*many, line(service="other"), line(at=NOW_US - 4 * DAY_US)], refused_other, NOW_US)
    most = 1_048_576 // (16_384 + len("checkout") + ROW_BYTES)
    assert (len(taken.kept), taken.refused, taken.over, taken.old) == (most, 1, 80 - most, 1)
    intake.give_back(taken.kept[:2], NOW_US)
    again = await intake.admit([*many, line(service="third", at=NOW_US + DAY_US)], refused_other, NOW_US)
    assert [one.service for one in again.kept] == ["checkout", "checkout", "third"]
    assert again.kept[-1].at == NOW_US, "from the future: when it came"
    assert LogLine("shop", 0, "é" * 10).size - LogLine("shop", 0, "e" * 10).size == 10, "bytes, not characters"
    assert line(instance="é" * 10, request_id="r" * 36).size - line().size == 56, "words too"


def refused_other(service: str) -> str:
    return "not its own" if service == "other" else ""


async def post(site: Any, *lines: LogLine, outcomes: bytes = b"[]", key: str | None = None) -> OutcomesPost:
    asked = AskedPost("application/json", "/drain", key, trial=False, address="")
    posted = OutcomesPost(site.parts, IDENTITY, asked, outcomes, lines=lines)
    await posted.store(lambda: True, lambda: None)
    return posted


IDENTITY = Identity("key", 1, "drain", frozenset({"ingest"}))
KEPT = "SELECT message FROM service_lines ORDER BY at, arrived"


@pytest.mark.gen_test
async def test_lines_are_stored_with_their_outcomes_and_survive_an_outage_once(web: Any, database_url: str) -> None:
    site = await web(SPOOL="on")
    await post(site, line(message="first"), line(message="second", at=0), outcomes=body(outcome()), key="one")
    await post(site, line(message="never"), outcomes=body(outcome()), key="one")
    assert [message for (message,) in rows(database_url, KEPT)] == ["first", "second"]
    with away(database_url):
        stored = await post(site, line(message="third"), line(message="fourth"), key="two")
        assert stored.taken.over == 0
        await post(site, line(message="third"), line(message="fourth"), key="two")
        assert site.parts.intake.waiting().bytes > 0
    await drained(site)
    found = [message for (message,) in rows(database_url, KEPT)]
    assert sorted(found) == ["first", "fourth", "second", "third"]
    with contextlib.suppress(psycopg.Error):  # the connection of before the outage
        await site.parts.intake.lines.write()
    await site.parts.intake.lines.write()
    assert rows(database_url, "SELECT service, lines FROM line_days") == [("checkout", 4)]


@pytest.mark.gen_test
async def test_lines_without_a_partition_are_offered_again_once_there_is_one(web: Any, database_url: str) -> None:
    site = await web(SPOOL="on")
    with psycopg.connect(database_url, autocommit=True) as connection:
        (name,) = rows(database_url, "SELECT 'service_lines_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')")[0]
        connection.execute(f"DROP TABLE {name}")
    await post(site, line(message="kept"), key="one")
    await drained(site)
    assert value(database_url, "SELECT count(*) FROM service_lines") == 1


@pytest.mark.gen_test
async def test_another_process_knows_what_was_taken_today(database_url: str) -> None:
    env, db = read_environment({"LOG_BYTES_A_DAY": "1048576"}), Database(database_url, "test")
    first, second = LineIntake(env, db), LineIntake(env, db)
    first._process_id, second._process_id = 1, 2
    many = await first.admit([line(message="m" * 10_000)] * 200, lambda _: "", NOW_US)
    assert (len(many.kept), many.over) == (104, 96)
    await first.write()
    await first.write()
    await second.write()
    assert (await second.admit([line(message="m" * 10_000)], lambda _: "", NOW_US)).over == 1
    for one in (first, second):
        await one.close()
    await db.close()


@pytest.mark.gen_test
async def test_lines_that_are_never_counted_are_swept(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    from server.ingest import flush as flushes
    from server.ingest.apart import settle_marks
    from tests.ingest.bench import claim

    async def dies(*_: object) -> None:
        raise psycopg.OperationalError("gone")

    both.bench.writer._make_partitions = None
    batch = await both.bench.batch(outcome(), claim=claim("one"))
    batch.lines = line_rows([line()], NOW_US)
    with monkeypatch.context() as patched:
        patched.setattr(flushes, "copy_deltas", dies)
        await both.bench.writer.store([batch], 0.0)
    assert value(both.apart, "SELECT count(*) FROM service_lines") >= 1
    again = await both.bench.batch(claim=claim("two"))
    again.lines = line_rows([line(message="stays")], NOW_US)
    await both.bench.writer.store([again], 5.0)
    await settle_marks(both.bench.db, 0)
    assert rows(both.apart, "SELECT message FROM service_lines") == [("stays",)]
    assert oldest_line(3600.0, 1) == 0


@pytest.mark.gen_test
async def test_json_lines_come_as_shippers_send_them(web: Any, database_url: str) -> None:
    site = await web(SPOOL="on")
    key, bound = await site.key("ingest"), await site.key("ingest", name="bound", services=["shop"])
    at = datetime.now(UTC).isoformat()
    shop = json.dumps([{"message": "token=abcdefgh1", "time": at, "level": "error"}]).encode()
    for _ in range(2):
        taken = await drain(site, bound, gzip.compress(shop), Content_Encoding="gzip")
        assert (taken.code, answer(taken)) == (200, {"lines": 1, "refused": 0, "over": 0, "old": 0})
    assert rows(database_url, "SELECT service, severity, message FROM service_lines") == [("shop", 17, "token=…")]
    plain = await drain(site, key, b"one\n\ntwo\n", "?service=plain", Content_Type="text/plain")
    again = await drain(site, key, b"one\n\ntwo\n", "?service=plain", Content_Type="text/plain")
    assert (answer(plain)["lines"], answer(again)["lines"]) == (2, 2), "without times nobody can tell"
    mixed = json.dumps([{"message": "m", "service": "shop"}, {"message": "whose?"}, 7]).encode()
    assert answer(await drain(site, key, mixed)) == {"lines": 1, "refused": 2, "over": 0, "old": 0}
    assert (await drain(site, key, b'{"message":"whose?"}')).code == 422
    assert (await drain(site, key, b"\x92", Content_Type="application/msgpack")).code == 415
    assert (await drain(site, await site.key("read", name="reader"), shop)).code == 403
    with away(database_url):
        spooled = await drain(site, bound, shop.replace(b"error", b"warn"))
        assert (spooled.code, answer(spooled)["stored"]) == (202, "spool")
    await drained(site)
    assert value(database_url, "SELECT count(*) FROM service_lines WHERE service = 'shop'") == 3


async def drain(site: Any, key: str, body: bytes, query: str = "", **headers: str) -> Any:
    given = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
    return await site.fetch(f"/api/v1/drains/json{query}", method="POST", key=key, body=body, headers=given)


@pytest.mark.gen_test
async def test_json_lines_that_take_too_long_go_on_and_are_not_stored_twice(
    web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await web()
    key = await site.key("ingest")
    monkeypatch.setattr("server.ingest.lines.line_handlers.JsonLinesHandler.answer_s", 0.0)
    answers = await asyncio.gather(*(drain(site, key, b"no time of its own\n", "?service=shop") for _ in range(3)))
    assert [(one.code, one.headers["Retry-After"]) for one in answers] == [(503, "1")] * 3
    assert "counts a second time where its lines have no exact times" in answer(answers[0])["detail"]
    await until(lambda: value(database_url, "SELECT count(*) FROM service_lines") == 1, "what went on")
