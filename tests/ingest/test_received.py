"""What came in by each receiver is counted, by whichever way it was answered."""

from __future__ import annotations

from typing import Any

import pytest

from server.ingest import received_store
from server.ingest.received import KEPT_S, LINES_MAX, SAID_MAX, SLOT_S, ReceivedLine, ReceivedTally
from server.kernel import shared_clock
from tests.ingest.making import body, outcome
from tests.ingest.sending import URL, send

NOW = 1_795_442_504.0


def test_what_could_not_be_written_comes_again_while_it_is_not_too_old() -> None:
    tally = ReceivedTally()
    tally.add(NOW, "syslog", 1, items=3, size=10)
    taken = tally.take(NOW)
    assert tally.take(NOW) == {}
    tally.put_back(taken, NOW)
    tally.add(NOW, "syslog", 1, items=1, size=10)
    (count,) = tally.take(NOW).values()
    assert (count.requests, count.items, count.bytes) == (2, 4, 20)
    tally.put_back(taken, NOW + KEPT_S + 60)
    assert tally.take(NOW + KEPT_S + 60) == {}
    assert tally.counts == {}


def test_memory_is_bounded_by_lines_and_by_what_is_said() -> None:
    tally = ReceivedTally()
    for key in range(LINES_MAX + 50):
        tally.add(NOW, "syslog", key, "INVALID", said="x" * 10_000)
    assert len(tally.counts) == LINES_MAX
    assert {len(count.said) for count in tally.counts.values()} == {SAID_MAX}
    tally.add(NOW, "syslog", 0, "INVALID", said="of a\0b\ud800: no database holds it")
    assert tally.counts[ReceivedLine(int(NOW) // SLOT_S * SLOT_S, "syslog", 0, "INVALID")].said.startswith("of ab?: ")


@pytest.mark.gen_test
async def test_what_came_in_is_told_by_receiver_key_and_reason_with_what_the_sender_was_told(web: Any) -> None:
    site = await web(INGEST_MAX_BATCH_ITEMS="3", METRICS_PUBLIC="true")
    key = await site.key("ingest", "read")
    one = body(outcome())
    await send(site, key, one)
    await site.fetch(URL, method="POST", body=one, key=key, headers={"Content-Type": "application/json", "X-A": "1"})
    await send(site, key, body(*[outcome()] * 4))
    await send(site, key, body(outcome(), outcome(status=1)), URL + "?partial=true")
    await send(site, "nobody", one)
    await site.fetch(URL, key=key)
    hook = "/api/v1/hooks/alertmanager"
    await site.fetch(hook, method="POST", body=b"{}", key=key, headers={"Content-Type": "application/json"})
    await site.parts.intake.lane.write()
    async with site.parts.db.act() as connection:
        found = await received_store.since(connection, shared_clock.now() - 3600)
    counted = {(one.receiver, bool(one.key), one.reason): (one.requests, one.items) for one in found}
    assert counted == {
        ("Outcomes", True, "accepted"): (3, 3),
        ("Outcomes", True, "BATCH_TOO_LARGE"): (1, 4),
        ("Outcomes", True, "INVALID"): (0, 1),
        ("Outcomes", False, "UNAUTHENTICATED"): (1, 0),
        ("Alertmanager", True, "INVALID"): (1, 0),
    }
    said = {(one.receiver, one.reason): one.said for one in found}
    assert said["Outcomes", "accepted"] == ""
    assert said["Outcomes", "INVALID"].startswith("Item 1, status: ")
    assert "3 items a batch" in said["Outcomes", "BATCH_TOO_LARGE"]
    assert said["Alertmanager", "INVALID"]
