"""Calendar windows: where their periods begin and end."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.slo.model.budget import exhausted_in_period_s
from server.slo.model.calendar import Calendar, Unit
from tests.examples import examples

BERLIN, KOLKATA, APIA = "Europe/Berlin", "Asia/Kolkata", "Pacific/Apia"


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


def utc(many: int, unit: Unit, start: datetime) -> Calendar:
    return Calendar(many, unit, start, "UTC")


@pytest.mark.parametrize(
    ("every", "now", "begins", "ends"),
    [
        (utc(1, "month", datetime(2026, 1, 1)), "2026-11-30 23:59", "2026-11-01", "2026-12-01"),
        (utc(1, "month", datetime(2026, 1, 1)), "2026-12-01", "2026-12-01", "2027-01-01"),
        (utc(1, "month", datetime(2026, 1, 1)), "2024-02-29", "2024-02-01", "2024-03-01"),  # before it
        (
            Calendar(1, "month", datetime(2026, 1, 31, 12), "UTC"),
            "2026-02-28 12:00",
            "2026-02-28 12:00",
            "2026-03-31 12:00",
        ),
        (utc(3, "month", datetime(2026, 1, 1)), "2026-11-30", "2026-10-01", "2027-01-01"),
        (utc(2, "month", datetime(2025, 12, 1)), "2026-01-31", "2025-12-01", "2026-02-01"),
        (utc(1, "week", datetime(2026, 1, 5)), "2026-11-29 10:00", "2026-11-23", "2026-11-30"),
        (utc(2, "week", datetime(2026, 1, 5)), "2026-01-04 23:59", "2025-12-22", "2026-01-05"),
        (
            Calendar(1, "day", datetime(2022, 1, 1, 12), "UTC"),
            "2026-11-29 11:59",
            "2026-11-28 12:00",
            "2026-11-29 12:00",
        ),
    ],
)
def test_a_period_is_that_of_the_calendar(every: Calendar, now: str, begins: str, ends: str) -> None:
    assert every.period(at(now)) == (at(begins), at(ends))


def test_a_period_begins_by_the_clock_of_its_zone_also_where_that_is_put_forward() -> None:
    march = Calendar(1, "month", datetime(2026, 1, 1), BERLIN).period(at("2026-03-31 21:59"))
    assert march == (at("2026-03-01", BERLIN), at("2026-04-01", BERLIN))
    assert march[1] - march[0] == 31 * 86_400 - 3600
    day = Calendar(1, "day", datetime(2026, 1, 1, 2, 30), BERLIN)  # which that night has not
    assert day.period(at("2026-03-29 12:00"))[0] == at("2026-03-29 01:30")
    half = Calendar(1, "month", datetime(2026, 1, 1), KOLKATA).period(at("2026-11-15"))
    assert half[0] == at("2026-10-31 18:30")


@given(
    st.builds(
        Calendar,
        st.integers(1, 3),
        st.sampled_from(["day", "week", "month"]),
        st.datetimes(datetime(1970, 1, 1), datetime(2099, 12, 31)).map(lambda t: t.replace(second=0, microsecond=0)),
        st.sampled_from(["UTC", BERLIN, KOLKATA, APIA, "America/New_York"]),
    ),
    st.integers(0, 4_000_000_000),
)
@settings(max_examples=examples(300), deadline=None)
def test_every_time_is_in_one_period_and_periods_follow_each_other(every: Calendar, now: int) -> None:
    start, end = every.period(now)
    assert start <= now < end
    assert every.period(start) == every.period(end - 1) == (start, end)
    assert every.period(end)[0] == end
    assert every.period(start - 1)[1] == start
    assert start % 60 == 0


def test_words_say_how_often_it_begins_anew() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    texts = [Calendar(*each).text for each in [(1, "month", start, "UTC"), (3, "month", start, BERLIN)]]  # type: ignore[arg-type]
    assert texts == ["each month", "each quarter (Europe/Berlin)"]
    assert Calendar(2, "week", start, "UTC").text == "each 2 weeks"


def test_a_budget_is_gone_within_its_period_or_not_at_all() -> None:
    # A day has passed; the rest fails at twice what is allowed, so each further day takes a day's budget.
    assert exhausted_in_period_s(0.5, 2, 86_400, 30 * 86_400) == 43_200
    assert exhausted_in_period_s(0.5, 2, 86_400, 43_200) is None
    assert exhausted_in_period_s(0.5, 1, 86_400, 86_400) is None
    assert exhausted_in_period_s(0.5, None, 86_400, 86_400) is None
    assert exhausted_in_period_s(-0.5, 0.1, 86_400, 86_400) == 0
    assert exhausted_in_period_s(None, 5, 86_400, 86_400) is None
