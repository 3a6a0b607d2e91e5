"""The board on PostgreSQL: whatever dies between two steps, each thing is kept and told once, or not at all."""

from __future__ import annotations

import msgspec
import psycopg
import pytest
from msgspec.structs import replace
from sqlalchemy.exc import IntegrityError

from checks import watch
from checks.check import ROOT, Surroundings
from server.alerts import store
from server.alerts.board import RECOVERED_SHOWN
from server.alerts.machine import HOUR_S, RESOLVE_S
from server.process.watch import Fenced
from server.slo.model.status import Evidence
from tests.alerts.making import NOW, Second, Told, at, board, burning, clear, objective
from tests.conftest import MakeEnv
from tests.live.rollups import lead


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


STATES = "SELECT objective, state, fired_times FROM alerts ORDER BY id"


KINDS = "SELECT kind FROM alert_events ORDER BY id"


@pytest.mark.gen_test
async def test_an_alert_from_its_first_second_to_its_last(database_url: str) -> None:
    async with board(database_url) as (second, _):
        assert await second.at(NOW, clear()) == []
        (alert,) = await second.at(NOW + 1, burning(due=False))
        assert (alert.state, second.told.events()) == ("pending", [])
        (alert,) = await second.at(NOW + 2, burning())
        assert (alert.state, second.told.events()) == ("firing", [("checkout", "trigger")])
        await second.at(NOW + 3, clear())
        (alert,) = await second.at(NOW + 3 + RESOLVE_S, clear())
        assert (alert.state, second.told.events()) == ("resolved", [("checkout", "resolve")])
        assert await second.at(NOW + 60 + RESOLVE_S, clear()) == [alert]  # shown for an hour
        assert await second.at(NOW + 4 + RESOLVE_S + HOUR_S, clear()) == []
    assert rows(database_url, STATES) == [("checkout-availability", "resolved", 1)]
    assert [kind for (kind,) in rows(database_url, KINDS)] == ["detected", "fired", "told", "resolved"]


@pytest.mark.gen_test
async def test_a_watch_that_takes_over_goes_on_where_the_other_stopped(database_url: str) -> None:
    async with board(database_url) as (old, policies):
        await old.at(NOW, burning(due=False))
        await old.at(NOW + 1, burning())
        lead(database_url, 2)
        new = Second(old.board.db, policies, Told(), term=2)
        (alert,) = await new.at(NOW + 5, burning())
        assert (alert.id, alert.fired_at, new.told.events()) == (1, NOW + 1, [])
        old.told.notices.clear()
        with pytest.raises(Fenced):
            await old.at(NOW + 6, burning(bad_ratio=0.9))
        await new.at(NOW + 7, clear())
        lead(database_url, 3)
        third = Second(old.board.db, policies, Told(), term=3)
        await third.at(NOW + 7 + RESOLVE_S, clear())
        assert third.told.events() == [("checkout", "resolve")]
        # Soon back: the newest watch knows what another one resolved.
        lead(database_url, 4)
        fourth = Second(old.board.db, policies, Told(), term=4)
        (alert,) = await fourth.at(NOW + 10 + RESOLVE_S, burning())
        assert (alert.id, alert.fired_times, alert.severity) == (1, 2, 2)
    kinds = [kind for (kind,) in rows(database_url, KINDS)]
    assert kinds == ["detected", "fired", "told", "resolved", "reopened", "fired", "told"]


@pytest.mark.gen_test
async def test_killed_while_it_tells_it_has_done_nothing(database_url: str) -> None:
    async with board(database_url, ["checkout", "payments"]) as (second, _):
        await second.at(NOW, burning("payments", due=False))
        before = rows(database_url, "SELECT state, updated_at FROM alerts"), rows(database_url, KINDS)
        second.told.fails = True
        with pytest.raises(OSError, match="killed here"):
            await second.at(NOW + 1, burning(), burning("payments"))
        assert (rows(database_url, "SELECT state, updated_at FROM alerts"), rows(database_url, KINDS)) == before
        second.told.fails, lost = False, {notice.key for notice in second.told.notices}
        second.told.notices.clear()
        await second.at(NOW + 2, burning(), burning("payments"))
        told = {notice.key for notice in second.told.notices}
        assert len(told) == 2
        assert "alert-1/trigger/1/page" in told & lost
        await second.at(NOW + 3, burning(), burning("payments"))
        assert {notice.key for notice in second.told.notices} == told


@pytest.mark.gen_test
async def test_what_another_watch_opened_meanwhile_is_not_opened_again(database_url: str) -> None:
    """As one that was frozen between its read and its write would."""
    async with board(database_url) as (second, _):

        def meanwhile() -> list[Evidence]:
            with psycopg.connect(database_url) as connection:
                connection.execute(
                    """
                    INSERT INTO alerts (objective, service, state, urgency, tier, severity, onset, onset_method,
                        detected_at, evidence)
                    VALUES ('checkout-availability', 'checkout', 'pending', 'page', 'fast', 2, now(), 'window',
                        now(), %s)
                    """,
                    [msgspec.json.encode(burning()).decode()],
                )
            return [at(burning(), NOW)]

        evidence, second.board.evidence = second.board.evidence, meanwhile
        with pytest.raises(IntegrityError):
            await second.board.step(1, NOW)
        second.board.evidence = evidence
        assert second.told.events() == []
        await second.at(NOW + 1, burning())
        assert second.told.events() == [("checkout", "trigger")]
    assert rows(database_url, STATES) == [("checkout-availability", "firing", 1)]


@pytest.mark.gen_test
@pytest.mark.parametrize("broken", ["evidence = '{}'", "firings = '3'", "urgency = 'loud'"])
async def test_an_alert_that_cannot_be_read_stops_no_other_and_its_objective_pages_again(
    database_url: str, broken: str, make_env: MakeEnv
) -> None:
    async with board(database_url, ["checkout", "payments"]) as (second, _):
        await second.at(NOW, burning("payments"))
        second.told.events()
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f"UPDATE alerts SET {broken}")
        shown = await second.at(NOW + 1, burning(), burning("payments"))
        assert sorted(second.told.events()) == [("checkout", "trigger"), ("payments", "trigger")]
        assert {(alert.service, alert.state) for alert in shown} == {("checkout", "firing"), ("payments", "firing")}
        await second.at(NOW + 2, burning(), burning("payments"))
        assert second.told.events() == []
        found = await watch.run(Surroundings(ROOT, make_env(), second.board.db))
        assert [finding.where for finding in found if finding.level == "warn"] == ["alert 1"]
        async with second.board.db.ask() as asked:
            assert [alert.id for alert in await store.listed(asked, "all")] == [3, 2]
            assert await store.one(asked, 1) is None


@pytest.mark.gen_test
async def test_what_an_incident_spent_stays_with_it_also_under_another_watch(database_url: str) -> None:
    async with board(database_url) as (second, _):
        await second.at(NOW, replace(burning(), spent=0.3))
        lead(database_url, 2)
        other = Second(second.board.db, second.board.policies, Told(), term=2)
        await other.at(NOW + 10, replace(burning(), spent=0.1))
        await other.at(NOW + 11, clear())
    assert rows(database_url, "SELECT (evidence->>'spent')::float8 FROM alerts") == [(0.3,)]


@pytest.mark.gen_test
async def test_five_hundred_objectives_that_burn_write_seldom(database_url: str) -> None:
    names = [f"s{number}" for number in range(500)]
    async with board(database_url, names) as (second, _):
        said = [burning(name) for name in names]
        await second.at(NOW, *said)
        assert len(second.told.events()) == 500
        for tick in range(1, 11):
            await second.at(NOW + tick, *said)
        writes = rows(database_url, "SELECT DISTINCT updated_at FROM alerts")
        assert len(writes) == 1
        quiet = [clear(name) for name in names]
        await second.at(NOW + 20, *quiet)
        await second.at(NOW + 20 + RESOLVE_S, *quiet)
        assert len(await second.at(NOW + 800, *quiet)) == RECOVERED_SHOWN


@pytest.mark.gen_test
async def test_nothing_is_written_while_nothing_changes(database_url: str) -> None:
    async with board(database_url) as (second, policies):
        written = set()
        for tick in range(20):
            await second.at(NOW + tick, burning())
            written |= set(rows(database_url, "SELECT updated_at FROM alerts"))
        assert 3 <= len(written) <= 5  # when it fired, then its evidence now and then
        policies.objectives = (objective("other"),)
        (alert,) = await second.at(NOW + 30)
        assert (alert.state, second.told.events()[-1]) == ("resolved", ("checkout", "resolve"))
        assert await second.at(NOW + 31, burning()) == [alert]
