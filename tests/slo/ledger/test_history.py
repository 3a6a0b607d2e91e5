"""A budget over time, against counting one by one: by the hour, the worst stretches, calendar months."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from fractions import Fraction

import psycopg
import pytest

from server.slo.ledger import history, months
from server.slo.ledger.history import HistorySlot
from server.slo.ledger.ledger_store import hours, stretches
from server.slo.model.budget import budget_left
from server.slo.model.counts import Counts
from tests.live.writing import database

ALLOWED = Fraction(1, 100)
HOUR = 3600
START = int(datetime(2028, 2, 27, tzinfo=UTC).timestamp())


def some(seed: int, many: int) -> list[HistorySlot]:
    """Hours of which some are missing, and some have parts taken out."""
    random_ = random.Random(seed)
    found = []
    for i in range(many):
        if random_.random() < 0.3:
            continue
        counts = Counts(random_.randrange(200), random_.randrange(9), random_.randrange(3))
        out = Counts(random_.randint(0, counts.good), random_.randint(0, counts.bad))
        found.append(HistorySlot(START + i * HOUR, counts, out if random_.random() < 0.3 else Counts()))
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("into_the_hour", [0, 1234.5])
def test_the_budget_by_the_hour_is_that_of_each_window(seed: int, into_the_hour: float) -> None:
    slots, window = some(seed, 120), 48 * HOUR
    end = START + 110 * HOUR + into_the_hour
    points = history.over_time(slots, lambda at: int(at) - window, ALLOWED, START + 60 * HOUR, end)
    assert [p.end.timestamp() for p in points[:-1]] == [
        START + h * HOUR for h in range(61, 111 if into_the_hour else 110)
    ]
    assert points[-1].end.timestamp() == end
    for point in points:
        stop = point.end.timestamp()
        inside = [s for s in slots if (stop - window) // HOUR * HOUR <= s.start < stop]
        good, bad = sum(s.counts.good for s in inside), sum(s.counts.bad for s in inside)
        out_good, out_bad = sum(s.left_out.good for s in inside), sum(s.left_out.bad for s in inside)
        of_it = [s.counts.without(s.left_out) for s in slots if s.start == (stop - 1) // HOUR * HOUR]
        assert (point.good, point.bad) == ((of_it[0].good, of_it[0].bad) if of_it else (0, 0))
        assert point.budget_left_without_exclusions == budget_left(Counts(good, bad), ALLOWED)
        assert point.budget_left == budget_left(Counts(good - out_good, bad - out_bad), ALLOWED)
    days = history.by_day(points, ALLOWED)
    assert sum(day.bad for day in days) == sum(point.bad for point in points)
    assert sum(day.share for day in days) == pytest.approx(
        float(sum(p.bad for p in points) / (ALLOWED * sum(p.good + p.bad for p in points)))
    )


def test_an_hour_without_anything_in_its_window_has_no_budget() -> None:
    points = history.over_time(
        [HistorySlot(START, Counts(5, 5))], lambda at: int(at) - 2 * HOUR, ALLOWED, START, START + 4 * HOUR
    )
    assert [p.budget_left is None for p in points] == [False, False, True, True]


@pytest.mark.parametrize(
    ("name", "days"), [("2028-02", 29), ("2027-02", 28), ("2026-12", 31), ("2027-01", 31), ("2026-11", 30)]
)
def test_a_month_is_the_calendars_in_utc(name: str, days: int) -> None:
    start, end = months.bounds(name)
    assert end - start == days * 86_400
    assert months.name_of(start) == months.name_of(end - 1) == name
    assert months.before(months.name_of(end)) == name
    inside, outside = HistorySlot(end - HOUR, Counts(90, 10)), HistorySlot(end, Counts(1000, 1000))
    month = months.month_of(name, [HistorySlot(start - HOUR, Counts(7, 7)), inside, outside], ALLOWED)
    assert (month.good, month.bad, month.spent) == (90, 10, 10.0)


@pytest.mark.parametrize("name", ["2026-13", "2026-00", "2026-1", "1999-12", "26-11", "2026-11-01", "", "٢٠٢٦-11"])
def test_what_is_no_month_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no month"):
        months.bounds(name)


def test_the_newest_months_go_over_the_year() -> None:
    now = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    assert months.latest(now, 3) == ["2027-01", "2026-12", "2026-11"]
    assert months.latest(now - 1, 1) == ["2026-12"]


def keep(url: str, minutes: dict[int, tuple[int, int]], left_out: dict[int, tuple[int, int]]) -> int:
    """A ledger with these minutes (of START: good, bad) and what is taken out of them; its number."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("INSERT INTO objectives (name, indicator) VALUES ('o', 'i') RETURNING id").fetchone()
        assert row is not None
        for table, rows in (("ledger_minutes", minutes), ("ledger_left_out", left_out)):
            more = ", excluded" if table == "ledger_minutes" else ""
            connection.cursor().executemany(
                f"INSERT INTO {table} (objective_id, minute, good, bad{more})"
                f" VALUES (%s, to_timestamp(%s), %s, %s{', 0' if more else ''})",
                [(row[0], START + 60 * minute, *counts) for minute, counts in rows.items()],
            )
        connection.execute(
            "INSERT INTO ledger_hours SELECT objective_id, date_trunc('hour', minute, 'UTC'), sum(good), sum(bad), 0"
            " FROM ledger_minutes GROUP BY 1, 2"
        )
        return int(row[0])


@pytest.mark.gen_test
async def test_a_stretch_holds_what_failed_in_a_row_and_not_what_is_excluded(database_url: str) -> None:
    minutes = dict.fromkeys(range(240), (1000, 0))
    minutes |= {10: (900, 100), 11: (970, 30), 12: (1000, 1), 14: (900, 100)}  # two quiet minutes do not end it
    minutes |= {30: (0, 50)}  # another
    minutes |= {60: (971, 29), 61: (0, 0)}  # just under three times what is allowed
    minutes |= {100: (500, 500), 101: (500, 500)}  # taken out, but for 40 failures
    left_out = {100: (500, 500), 101: (500, 460)}
    objective = keep(database_url, minutes, left_out)
    async with database(database_url) as db, db.ask() as connection:
        ratio = history.hot_ratio(ALLOWED)
        end = START + 4 * HOUR
        found = await stretches(connection, objective, START, end, unit="minute", ratio=ratio, many=9)
        slots = await hours(connection, objective, START, end)
        cut = await stretches(connection, objective, START + 660, end, unit="minute", ratio=ratio, many=1)
    assert [((a - START) // 60, (b - START) // 60, c.bad, c.total) for a, b, c in found] == [
        (10, 15, 230, 3000),
        (30, 31, 50, 50),
        (101, 102, 40, 40),
    ]
    assert [((a - START) // 60, c.bad) for a, _, c in cut] == [(11, 130)]
    assert sum(slot.counts.bad for slot in slots) == sum(bad for _, bad in minutes.values())
    assert [slot.left_out for slot in slots] == [Counts(), Counts(1000, 960), Counts(), Counts()]


def test_where_almost_all_may_fail_half_of_it_makes_a_stretch() -> None:
    assert history.hot_ratio(Fraction(1, 1000)) == Fraction(3, 1000)
    assert history.hot_ratio(Fraction(2, 5)) == Fraction(1, 2)
