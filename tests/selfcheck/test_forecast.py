"""When the disk or the plan is full: the rule, what it reads, and where it is told."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from checks import disk
from server.selfcheck import forecast_store
from server.selfcheck.forecast import Forecast, Stored, a_day
from server.selfcheck.forecast_store import forecast
from tests.dashboard.visitor import look, sign_in
from tests.ingest.making import body, outcome
from tests.ingest.sending import send

GIB = 1 << 30


def outcomes(age_days: float, stored: int, a_day: float, kept: float = 7.0) -> Stored:
    return Stored("outcomes", stored, a_day, kept, age_days)


@pytest.mark.parametrize(
    ("stored", "room", "days"),
    [
        ([outcomes(7, 7 * GIB, GIB)], 8 * GIB, None),  # as much goes as comes
        ([outcomes(2, 2 * GIB, GIB)], 5 * GIB, 3.0),  # nothing goes before the seventh day
        ([outcomes(2, 2 * GIB, GIB)], 7 * GIB + 1, None),
        ([outcomes(7, 7 * GIB, 3 * GIB)], 14 * GIB, 3.5),  # three times as much: 2 more a day than what goes
        ([outcomes(7, 7 * GIB, 3 * GIB)], 22 * GIB, None),
        ([outcomes(7, 7 * GIB, GIB), Stored("rest", GIB)], 8 * GIB, 0.0),
        ([outcomes(7, 7 * GIB, GIB), Stored("rest", GIB, GIB / 10)], 10 * GIB, 20.0),
        ([outcomes(2, 2 * GIB, GIB)], None, None),
        ([], 1, None),
    ],
)
def test_when_it_is_full(stored: list[Stored], room: int | None, days: float | None) -> None:
    found = Forecast(stored, room).full_in_days
    assert found == (None if days is None else pytest.approx(days))


def test_what_it_settles_at_is_what_it_comes_to() -> None:
    found = Forecast([outcomes(2, 2 * GIB, 3 * GIB), Stored("rest", GIB)], None)
    assert found.settles_bytes == found.after(400) == 22 * GIB
    empty = Forecast([Stored("hours", 64, kept_days=400, empty_bytes=64)], None)
    assert empty.settles_bytes == empty.after(1) == empty.after(401) == 64


def test_a_day_is_the_last_24_hours_or_what_there_was_of_them() -> None:
    assert a_day(6, 24, 0.25, 9.0) == 24
    assert a_day(6, 0, 0.5, 0.25) == 24


def test_the_check_says_it_in_time() -> None:
    assert disk.coming(Forecast([outcomes(1, GIB, GIB, 30)], 18 * GIB)) == []
    (found,) = disk.coming(Forecast([outcomes(1, GIB, GIB, 30)], 13 * GIB))
    assert (found.level, found.what) == (
        "warn",
        "Full in 12.0 days at the rate of now: 1.00 GiB a day, 100% of it outcomes.",
    )
    (found,) = disk.coming(Forecast([outcomes(1, GIB, GIB, 30)], GIB + GIB // 2))
    assert found.level == "fail"


@pytest.mark.gen_test
async def test_what_is_stored_is_told_on_setup_and_in_metrics(web: Any, database_url: str) -> None:
    site = await web(DATABASE_MAX_BYTES=str(1 << 40))
    key = await site.key("ingest", "read")
    assert (await send(site, key, body(*[outcome()] * 500))).code == 201
    with psycopg.connect(database_url, autocommit=True) as connection:
        size = connection.execute("SELECT pg_total_relation_size(%s)", (f"outcomes_{datetime.now(UTC):%Y%m%d}",))
        (of_today,) = size.fetchone() or (0,)
    async with site.parts.db.ask() as asked:
        found = await forecast(asked, site.parts.db, site.env, time.time())
    whole = {one.what: one for one in found.stored}
    assert len(whole) == len(found.stored), "each table once, also one whose rows are kept for different times"
    assert 7 < whole["service rollups"].kept_days < 14, "most of its rows for 7 days, those of hours for 400"
    assert whole["outcomes"].bytes >= of_today
    assert whole["outcomes"].bytes_a_day > 0
    assert whole["outcomes"].kept_days == 7
    assert {"minutes", "hours", "log lines", "everything else"} <= set(whole)
    assert whole["hours"].settles_bytes == whole["hours"].bytes > 0, "nothing is in it, and it takes that all the same"
    assert (found.room, found.full_in_days) == (1 << 40, None)
    page = (await look(site, "/setup", await sign_in(site))).body.decode()
    assert '<h2 id="storage-title">Storage</h2>' in page
    assert page.count('<span class="secondary">on average</span>') == 1, "of what is kept for two times"
    assert "room for 1,024 GiB" in page or "room for 1 TiB" in page
    told = (await site.fetch("/metrics", key=key)).body.decode()
    assert 'evenkeel_stored_bytes{kind="outcomes"}' in told
    assert "evenkeel_storage_full_in_seconds " not in told


def test_the_room_is_the_plans_or_the_disks(make_env: Any, tmp_path: Any) -> None:
    assert forecast_store.room(make_env(), 5) is None
    assert forecast_store.room(make_env(DATABASE_MAX_BYTES="7"), 5) == 7
    own = make_env(DATABASE_URL="", DATA_DIR=str(tmp_path))
    assert forecast_store.room(own, 5) == pytest.approx(5 + shutil.disk_usage(tmp_path).free, rel=0.05)
