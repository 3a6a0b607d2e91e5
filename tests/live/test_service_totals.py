"""What a service has sent, for Prometheus: only grows, once for each outcome, without what came late."""

from __future__ import annotations

import time

import pytest

from server.live.fold import Fold
from server.live.service_totals_store import BOUNDS_S, ServiceTotal, totals
from tests.live.rollups import lead, nothing
from tests.live.writing import Sample, Writer, database


@pytest.mark.gen_test
async def test_every_outcome_of_now_is_in_the_totals_once(database_url: str) -> None:
    lead(database_url, 1)
    now = int(time.time())
    durations_us = (0, 5_000, 5_200, 99_000, 400_000, 90_000_000)
    sent = [Sample(now - n, each, n == 0, version=f"v{n}") for n, each in enumerate(durations_us)]
    writer, untimed = Writer(database_url), Writer(database_url, threshold_us=None)
    async with database(database_url) as db:
        fold = Fold(db, nothing)
        for expected in (1, 2):
            writer.flush([*sent, Sample(now - 3600, 1, True), Sample(now, 300_000, service="other")])
            await fold.run(1)
            await fold.run(1)
            async with db.ask() as connection:
                other, shop = await totals(connection)
            within = [sum(each <= bound * 1e6 for each in durations_us) for bound in BOUNDS_S]
            assert shop == ServiceTotal(
                "shop",
                6 * expected,
                expected,
                sum(durations_us) * expected,
                (*(n * expected for n in within), 6 * expected),
            )
            assert (other.service, other.n, other.bad) == ("other", expected, 0)
        untimed.flush([Sample(now, bad=True)])
        await fold.run(1)
        async with db.ask() as connection:
            _, shop = await totals(connection)
        assert (shop.n, shop.bad, shop.upto[-1]) == (13, 3, 12)  # its duration is not known
