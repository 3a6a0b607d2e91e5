"""What comes back soon is another outage of the same alert: the first keeps its times, and each is measured once."""

from __future__ import annotations

import pytest

from server.alerts import store
from server.alerts.machine import RESOLVE_S
from server.alerts.telling import STAYS_S
from server.notify.kinds.pagerduty import incident_key
from tests.alerts.making import NOW, Second, board, burning, clear


async def one_outage(second: Second, at: float, lasts_s: float = 10) -> None:
    """From a first failure 3 s before `at`, told at once; acknowledged and over."""
    (alert,) = await second.at(at, burning())
    async with second.board.db.act() as connection:
        await store.mark_notified(connection, alert.id, at + 1)
        await store.acknowledge(connection, alert.id, f"mira at {at:.0f}")
        update = f"UPDATE alerts SET acknowledged_at = to_timestamp({at + 4}) WHERE id = {alert.id}"
        await connection.exec_driver_sql(update)
    await second.at(at + lasts_s, clear())
    await second.at(at + lasts_s + RESOLVE_S, clear())


@pytest.mark.gen_test
async def test_a_second_outage_is_a_second_entry_and_the_measures_count_each_once(database_url: str) -> None:
    async with board(database_url) as (second, _):
        await one_outage(second, NOW)
        await one_outage(second, NOW + 300, lasts_s=40)
        keys = {incident_key(notice.alert) for notice in second.told.notices}
        assert keys == {f"evenkeel-1-{NOW:.0f}"}
        assert [event for _, event in second.told.events()] == ["trigger", "resolve"] * 2
        async with second.board.db.ask() as connection:
            alert = await store.one(connection, 1)
            first, again = (await store.outages(connection, [1]))[1]
            measured = await store.measures(connection, NOW - 60)
            month = await store.outages_between(connection, "checkout", NOW - 60, NOW + 900)
    assert alert is not None
    assert (alert.onset, alert.detected_at) == (first.onset, first.detected_at) == (NOW - 3, NOW)
    assert (again.onset, again.detected_at) == (NOW + 297, NOW + 300)
    assert (first.acknowledged_by, again.acknowledged_by) == (f"mira at {NOW:.0f}", f"mira at {NOW + 300:.0f}")
    assert (first.lasted_s, again.lasted_s) == (13, 43)
    assert month == [again, first]
    assert (measured.fired, measured.detect_s, measured.notify_s) == (2, 3, 1)
    assert (measured.acknowledge_s, measured.resolve_s) == (3, 28)


@pytest.mark.gen_test
async def test_an_outage_after_flapping_is_an_entry_too(database_url: str) -> None:
    async with board(database_url) as (second, _):
        for turn in range(3):
            await one_outage(second, NOW + turn * 100)
        back = NOW + 400
        await second.at(back, burning())
        (alert,) = await second.at(back + STAYS_S, burning())
        assert {incident_key(notice.alert) for notice in second.told.notices} == {f"evenkeel-1-{NOW:.0f}"}
        async with second.board.db.ask() as connection:
            found = (await store.outages(connection, [1]))[1]
    assert alert.acknowledged_by == ""
    assert [(one.number, one.detected_at) for one in found] == [
        (1, NOW),
        (2, NOW + 100),
        (3, NOW + 200),
        (4, back),
    ]
    assert [one.lasted_s for one in found] == [13, 13, 13, None]
