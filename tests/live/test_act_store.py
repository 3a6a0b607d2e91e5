"""What a service counted by route since an act and before it, as the flushes of two writers say it."""

from __future__ import annotations

import time

import pytest

from server.live.act_store import RouteCount, route_counts
from tests.live.writing import Sample, Writer, database


@pytest.mark.gen_test
async def test_of_a_threshold_only_what_was_measured_counts(database_url: str) -> None:
    at = int(time.time()) - 60
    knows, does_not = Writer(database_url), Writer(database_url, threshold_us=200_000)
    knows.flush([Sample(at - 5, 400_000), Sample(at - 5), Sample(at), Sample(at + 5), Sample(at + 5, bad=True)])
    does_not.flush([Sample(at - 5), Sample(at + 5), Sample(at + 6, bad=True)])
    async with database(database_url) as db, db.ask() as connection:
        slow = await route_counts(connection, "shop", at - 280, at, 300_000)
        failed = await route_counts(connection, "shop", at - 280, at, None)
    assert slow == [RouteCount(bad=0, n=1, before_bad=1, before_n=2)]
    assert failed == [RouteCount(bad=2, n=4, before_bad=0, before_n=3)]
    knows.close()
    does_not.close()
