"""What comes back soon is another outage of the same alert: the first keeps its times, and each is measured once."""

from __future__ import annotations

import pytest

from server.alerts import store
from server.alerts.machine import RESOLVE_S
from server.alerts.telling import STAYS_S
from server.notify.kinds.pagerduty import incident_key
from tests.alerts.making import NOW, Second, board, burning, clear
from tests.alerts.simulated import Simulated


async def one_outage(second: Second, at: float, lasts_s: float = 10) -> None:
    """From a first failure 3 s before `at`, told at once; acknowledged and over."""
    (alert,) = await second.at(at, burning())
    async with second.board.db.act() as connection:
        await store.mark_notified(connection, alert.id, at + 1)
        await store.acknowledge(connection, [alert.id], f"mira at {at:.0f}")
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


@pytest.mark.parametrize("per_second", [2, 20])
def test_a_second_outage_five_minutes_after_the_first_is_an_entry_with_its_own_onset(per_second: int) -> None:
    """At 2/s a tier of pages looks back into the first for longer than that; at 20/s one of tickets does."""
    first, second = int(NOW) + 77, int(NOW) + 77 + 480
    one = Simulated(int(NOW), per_second, [(first, first + 180), (second, second + 180)])
    one.run(77 + 660 + 150)
    pages = {(alert, number): onset for alert, number, onset in one.began if one.alerts[alert].urgency == "page"}
    assert pages == {(1, 1): first, (1, 2): second}
    assert list(one.alerts) == [1]


def test_a_ticket_of_what_burns_on_begins_where_the_page_ended() -> None:
    outage = int(NOW) + 77
    one = Simulated(int(NOW), 4, [(outage, outage + 300)])
    one.run(77 + 300 + 1100)
    page, ticket = one.alerts[1], one.alerts[2]
    assert (page.onset, page.urgency, ticket.urgency) == (outage, "page", "ticket")
    assert ticket.onset == page.ended == outage + 300
