"""What comes late, or is imported, counts in its own time and wakes nobody; what exporters gather for a minute does."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from server.live.fold import Fold
from server.slo.judge.evaluate import Evaluation
from server.slo.judge.streams import Stream
from server.slo.ledger.ledger import Ledger
from server.slo.model.status import ObjectiveStatus
from tests.live.rollups import lead
from tests.live.writing import Sample, Writer, database
from tests.slo.judging import START
from tests.slo.ledgers import NOW, policies
from tests.slo.making import SHOP


def failures(ago_s: int, seconds: int = 300) -> list[Sample]:
    """Ten a second, all bad, up to so long ago."""
    return [Sample(int(NOW) - ago_s - second, bad=True) for second in range(seconds) for _ in range(10)]


async def evaluated(url: str, tmp_path: Path, *, process: int, ago_s: int, late_s: int) -> list[ObjectiveStatus]:
    """Before the fold, after it, and with what an exclusion takes out of the late minutes."""
    lead(url, 1)
    Writer(url).flush([Sample(int(NOW) - second) for second in range(3000)])
    Writer(url, process=process).flush(failures(ago_s), late_s=late_s)
    found = []
    async with database(url) as db, policies(db, url, tmp_path, SHOP) as held:
        fold = Fold(db, Ledger(held).fold)
        for _ in range(2):
            status = await Evaluation(db, held).evaluate((), NOW)
            found.append(next(one for one in status.objectives if one.name == "shop-works"))
            await fold.run(1)
    return found


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("process", "ago_s", "late_s"),
    [
        (1, 1200, 1260),  # 20 minutes ago: within the window of half an hour that says whether it goes on
        (1, 950, 910),
        (0, 5, 0),  # imported, of now
    ],
)
async def test_it_counts_and_nothing_burns(
    database_url: str, tmp_path: Path, process: int, ago_s: int, late_s: int
) -> None:
    for status in await evaluated(database_url, tmp_path, process=process, ago_s=ago_s, late_s=late_s):
        assert (status.tier, status.tiers) == (None, {})
        assert status.bad == 3000
        assert all(window.bad == 0 for window in status.windows)
        assert status.burn_1h == 0


@pytest.mark.gen_test
@pytest.mark.parametrize(("ago_s", "late_s"), [(5, 60), (1200, 60)])
async def test_what_was_gathered_for_a_minute_burns(database_url: str, tmp_path: Path, ago_s: int, late_s: int) -> None:
    for status in await evaluated(database_url, tmp_path, process=1, ago_s=ago_s, late_s=late_s):
        assert status.state == "burning"
        assert status.bad == 3000


@pytest.mark.gen_test
async def test_it_is_kept_apart_by_minute_and_not_taken_out_twice(database_url: str, tmp_path: Path) -> None:
    lead(database_url, 1)
    Writer(database_url).flush([Sample(int(NOW) - second) for second in range(3000)])
    Writer(database_url).flush(failures(1200), late_s=1000)
    Writer(database_url).flush(failures(600, 60))
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO exclusions (service, start, stop, reason, author)"
            " VALUES ('shop', to_timestamp(%s), to_timestamp(%s), 'load test', 'mira')",
            (NOW // 60 * 60 - 1560, NOW // 60 * 60 - 1140),
        )
    async with database(database_url) as db, policies(db, database_url, tmp_path, SHOP) as held:
        fold = Fold(db, Ledger(held).fold)
        for _ in range(2):
            status = await Evaluation(db, held).evaluate((), NOW)
            works = next(one for one in status.objectives if one.name == "shop-works")
            assert works.bad == 600
            assert [window.bad for window in works.windows if window.window_s == 1800] == [600]
            await fold.run(1)


def test_an_onset_is_right_where_exporters_gather_for_a_minute() -> None:
    stream = Stream(0.001)
    began = START + 200
    for end in range(START + 1, START + 400):
        if end % 60 == 0:  # once a minute, the minute before
            for second in range(end - 60, end):
                stream.add(second, 10, 10 if second >= began else 0)
        onset = stream.verdict(end).onset
        if onset is not None:
            break
    assert onset == began
    assert end - began <= 120
