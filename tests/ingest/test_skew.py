"""Senders whose clock is ahead: what they send is of now, and their skew is named."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from checks import clocks
from checks.check import ROOT, Surroundings
from server.ingest.skew import SendingMachine, Skews
from server.live import refusals_store
from server.live.refusals import refusals
from tests.site import Site

NOW = 1_800_000_000_000_000
S = 1_000_000
ONE = SendingMachine(1, "192.0.2.1")


def test_a_clock_that_is_right_or_behind_is_left_alone() -> None:
    skews = Skews()
    assert [skews.ahead_us(ONE, NOW + lead, NOW) for lead in (-30 * S, 0, S // 2, S)] == [0, 0, 0, 0]


def test_what_was_gathered_is_moved_by_the_most_that_was_seen() -> None:
    skews = Skews()
    assert skews.ahead_us(ONE, NOW + 30 * S, NOW) == 30 * S
    found = skews.ahead_us(ONE, NOW + 5 * S + 27 * S, NOW + 5 * S)  # its newest is 3 s old
    assert found == 30 * S
    assert (
        skews.ahead_us(SendingMachine(1, "192.0.2.2"), NOW + 27 * S, NOW) == 27 * S
    )  # of another machine nothing is known


def test_a_clock_that_was_set_right_is_believed() -> None:
    skews = Skews()
    skews.ahead_us(ONE, NOW + 120 * S, NOW)
    assert skews.ahead_us(ONE, NOW + S, NOW + S) == 0
    assert skews.ahead_us(ONE, NOW + 2 * S + 40 * S, NOW + 2 * S) == 40 * S


@pytest.mark.gen_test
@pytest.mark.parametrize("ahead_s", [30, 120])
async def test_it_is_stored_as_of_now_and_named(web: Callable[..., Any], database_url: str, ahead_s: int) -> None:
    site: Site = await web()
    key = await site.key()
    now = time.time()
    sent = [
        {"service": "shop", "route": "/", "method": "GET", "status": 500, "duration_ms": 1, "timestamp": at}
        for at in (int((now + ahead_s - 2) * 1000), int((now + ahead_s) * 1000))
    ]
    assert (await site.fetch("/api/v1/outcomes", method="POST", key=key, data=sent)).code == 201
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT extract(epoch FROM at)::float FROM outcomes ORDER BY at").fetchall()
    (first,), (last,) = rows
    assert now - 0.5 <= last <= time.time()
    assert last - first == pytest.approx(2, abs=0.01)

    await site.parts.intake.lane.write()
    async with site.parts.db.ask() as reading:
        shop = refusals(await refusals_store.intake(reading, now - 60), {})["shop"]
    assert shop.ahead_s == pytest.approx(ahead_s, abs=60)
    assert shop.ahead_s > 1
    assert shop.ahead_key == "test"
    (found,) = await clocks.run(Surroundings(ROOT, site.env, site.parts.db))
    assert found.where == "shop"
    assert "A sender's clock is" in found.what
    assert "(key test)" in found.what
