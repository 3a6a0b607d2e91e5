"""What receivers hand in: in batches, counted once whatever way it comes again, and durable as what is sent is."""

from __future__ import annotations

from typing import Any

import pytest

from server.auth.identity import Identity
from server.ingest.batch import Batch
from server.ingest.item_claims import item_of
from server.ingest.outcome import Outcome
from server.ingest.telemetry.receiving import HandedIn, Incoming, ReceivedOutcomes, receive
from server.kernel.errors import ApiError
from tests.ingest.bench import bench, claim
from tests.ingest.making import outcome, rows, value
from tests.site import Site
from tests.waiting import until

KEY = Identity("key", 7, "otel", frozenset({"ingest"}), services=frozenset({"checkout"}))


def made(numbers: range, **given: Any) -> HandedIn:
    """Outcomes with these request ids, each of them counted once by its number."""
    outcomes = [Outcome(**outcome(request_id=f"r{number}") | given) for number in numbers]
    return HandedIn(outcomes, b"".join(item_of(1_000, b"%012d" % number) for number in numbers))


async def hand_in(site: Site, body: str, handed: HandedIn) -> ReceivedOutcomes:
    return await receive(site.parts, KEY, Incoming("x", "/v1/x", body.encode().ljust(16), "127.0.0.1", 100), handed)


@pytest.mark.gen_test
async def test_a_body_is_stored_in_batches_and_counted_once(web: Any, database_url: str) -> None:
    site = await web(INGEST_MAX_BATCH_ITEMS="10")
    first = await hand_in(site, "a", made(range(25)))
    assert (first.kept, first.faults, first.repeated) == (25, [], False)
    assert (await hand_in(site, "a", made(range(25)))).repeated
    assert not (await hand_in(site, "b", made(range(20, 32)))).repeated  # the same in other bodies
    found = rows(database_url, "SELECT request_id FROM outcomes ORDER BY length(request_id), request_id")
    assert [one for (one,) in found] == [f"r{number}" for number in range(32)]
    assert value(database_url, "SELECT sum(n) FROM deltas") == 32


@pytest.mark.gen_test
async def test_what_is_wrong_is_refused_alone_and_what_was_abandoned_is_counted(web: Any, database_url: str) -> None:
    site = await web(INGEST_MAX_BATCH_ITEMS="2")
    handed = made(range(5))
    handed.outcomes[2].service = "other"
    handed.outcomes[3].timestamp = 1.0
    handed.abandoned = {"checkout": 3}
    got = await hand_in(site, "a", handed)
    assert (got.kept, [(fault.index, fault.field) for fault in got.faults]) == (3, [(2, "service"), (3, "timestamp")])
    assert (await hand_in(site, "a", handed)).repeated
    assert (await hand_in(site, "c", made(range(2, 4)))).kept == 2  # what was refused is not taken for counted
    only = HandedIn([], abandoned={"checkout": 1})
    assert [(await hand_in(site, "d", only)).repeated for _ in range(2)] == [False, True]
    await site.parts.intake.lane.write()
    counts = "SELECT service, reason, sum(items) FROM intake WHERE key_id = 7 GROUP BY 1, 2 ORDER BY 1, 2"
    assert rows(database_url, counts) == [
        ("", "INVALID", 2),
        ("", "accepted", 0),
        ("checkout", "ABANDONED", 4),
        ("checkout", "accepted", 5),
    ]
    assert value(database_url, "SELECT sum(n) FROM deltas") == 5


@pytest.mark.gen_test
async def test_a_refusal_is_of_all_and_what_was_stored_before_it_is_not_counted_again(
    web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await web(INGEST_MAX_BATCH_ITEMS="10")
    stored, calls = site.parts.intake.store, 0

    async def full_once(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ApiError("QUEUE_FULL", "full", retry_after=1)
        return await stored(*given)

    monkeypatch.setattr(site.parts.intake, "store", full_once)
    with pytest.raises(ApiError, match="full"):
        await hand_in(site, "a", made(range(25)))
    assert not (await hand_in(site, "a", made(range(25)))).repeated
    assert value(database_url, "SELECT sum(n) FROM deltas") == 25


@pytest.mark.gen_test
async def test_items_are_claimed_in_the_transaction_that_counts_them(database_url: str) -> None:
    it = await bench(database_url)

    async def batch(key: str, *items: int, **given: Any) -> Batch:
        made_ = await it.batch(*[outcome(request_id=f"r{item}", **given) for item in items], claim=claim(key))
        made_.item_claims = b"".join(item_of(1_000, b"%012d" % item) for item in items)
        return made_

    await it.writer.store([await batch("a", 1, 2, 2), await batch("b", 2, 3, status=500)], 5)
    assert rows(database_url, "SELECT sum(n), sum(bad) FROM deltas") == [(3, 1)]
    await it.writer.store([await batch("c", 4, 1)], 5)
    found = rows(database_url, "SELECT request_id, bad FROM outcomes ORDER BY 1")
    assert found == [("r1", False), ("r2", False), ("r3", True), ("r4", False)]
    await it.close()


@pytest.mark.gen_test
async def test_what_comes_again_while_the_database_is_away_is_counted_once(web: Any, database_url: str) -> None:
    site = await web(SPOOL="on")
    intake = site.parts.intake
    await hand_in(site, "a", made(range(3)))
    intake.writer.failing = "away"
    spooled = await hand_in(site, "b", made(range(2, 5)))
    assert spooled.spooled
    intake.writer.failing = ""
    intake.replay.wake()
    await until(lambda: not intake.replay.waits, "the spool to be replayed")
    assert value(database_url, "SELECT sum(n) FROM deltas") == 5
    assert value(database_url, "SELECT count(*) FROM outcomes") == 5
