"""Objectives of a calendar: their budget begins anew with each period, on PostgreSQL."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from server.live.fold import Fold
from server.slo.ledger.ledger import Ledger
from server.slo.ledger.past import past
from server.slo.ledger.windows import LedgerWindows
from server.slo.model.counts import Counts
from tests.live.rollups import lead
from tests.live.writing import Sample, Writer, database
from tests.slo.ledgers import NOW, policies
from tests.slo.making import availability, service

HOUR = 3600
BEGINS = int(NOW) // HOUR * HOUR - 30 * 60  # at a half hour, as midnight in India does
ROLLS = "    - duration: 7d\n      isRolling: true\n"


def of_a_calendar(duration: str, start: datetime, name: str = "works") -> str:
    calendar = f"    - duration: {duration}\n      calendar: {{startTime: {start:%Y-%m-%d %H:%M:%S}, timeZone: UTC}}\n"
    return availability(name, "shop", days=7).replace(ROLLS, calendar)


def sample(second: int, *, bad: bool = False) -> Sample:
    return Sample(second=second, duration_us=1000, bad=bad, service="shop")


@pytest.mark.gen_test
async def test_a_period_counts_what_came_in_it_and_the_next_begins_at_once(database_url: str, tmp_path: Path) -> None:
    lead(database_url, 1)
    start = datetime.fromtimestamp(BEGINS, UTC).replace(tzinfo=None)
    weekly = of_a_calendar("1w", start - timedelta(weeks=50))
    rolling = availability("rolls", "shop", days=7)
    before = [sample(BEGINS - 60 * each, bad=True) for each in range(1, 4)]
    within = [sample(BEGINS + 60 * each, bad=each == 2) for each in range(10)]
    with closing(Writer(database_url)) as writer:
        async with (
            database(database_url) as db,
            policies(db, database_url, tmp_path, service("shop") + weekly + rolling) as held,
        ):
            works, rolls = held.objectives
            ledger = Ledger(held)
            writer.flush(before)
            await Fold(db, ledger.fold).run(1)
            writer.flush(within)
            windows = LedgerWindows((300, 7 * 86_400))
            now = BEGINS + 20 * 60.0
            async with db.ask() as connection:
                counts = await windows.read(connection, held.objectives, now)
                assert counts[works.id][works.window_key] == Counts(9, 1)
                assert counts[works.id][7 * 86_400] == Counts(9, 4)  # a window of a tier still rolls
                assert counts[rolls.id][rolls.window_key] == Counts(9, 4)
                ends = works.begins(now) + 7 * 86_400
                last = await windows.read(connection, held.objectives, ends - 1.0)
                assert last[works.id][works.window_key] == Counts(9, 1)
                anew = await windows.read(connection, held.objectives, ends + 0.5)  # within what is kept of a reading
                assert anew[works.id][works.window_key] == Counts()
            await Fold(db, ledger.fold).run(1)
            async with db.ask() as connection:
                found = await past(connection, works, BEGINS + 3 * HOUR)
            assert [(one.start.timestamp(), one.bad) for one in found.periods] == [(BEGINS, 4)]  # by whole hours
            assert found.points[-1].budget_left == pytest.approx(1 - 4 / (13 * 0.001))
