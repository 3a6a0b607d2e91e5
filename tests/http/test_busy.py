"""Many people who act at the same moment, on a database that answers."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import psycopg
import pytest
from tornado.httpclient import AsyncHTTPClient

from server.config.store import LOCK
from server.kernel import db
from server.kernel.pool_sizes import MOST
from tests.site import Site, answer
from tests.waiting import until

PEOPLE = 20
LONGER_THAN_BEFORE_S = 2.5  # acts used to wait 2 s for a connection


async def act(site: Site, key: str, person: int) -> int:
    """Change the settings; the status."""
    asked = {"values": {"INGEST_MAX_BATCH_ITEMS": 500 + person}, "reason": "surge"}
    seen = {"If-Match": '"1"', "Content-Type": "application/json"}
    return (await site.fetch("/api/v1/config", method="PATCH", key=key, data=asked, headers=seen)).code


@pytest.mark.gen_test
async def test_twenty_people_act_at_once_and_each_is_answered(
    web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await web()
    monkeypatch.setattr(site, "_client", AsyncHTTPClient(force_instance=True, max_clients=2 * PEOPLE))
    key = await site.key("act", "read")
    with psycopg.connect(database_url) as somebody:
        somebody.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        begun = time.monotonic()
        acts = [asyncio.create_task(act(site, key, person)) for person in range(PEOPLE)]
        await until(lambda: len(site.parts.in_flight) == PEOPLE, "everybody to have pressed")
        await until(lambda: time.monotonic() > begun + LONGER_THAN_BEFORE_S, "the wait to be a long one")
    assert Counter(await asyncio.gather(*acts)) == {200: 1, 412: PEOPLE - 1}


@pytest.mark.gen_test
async def test_a_full_pool_says_that_it_is_full(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "ACT_WAIT_S", 0.05)
    site = await web()
    key = await site.key("act", "read")
    taken = [site.parts.db.act() for _ in range(MOST.control)]
    for one in taken:
        await one.__aenter__()
    asked = {"service": "checkout", "kind": "deploy", "version": "5f2c1a9"}
    told = await site.fetch("/api/v1/changes", method="POST", key=key, data=asked)
    for one in taken:
        await one.__aexit__(None, None, None)
    assert (told.code, answer(told)["code"], told.headers["Retry-After"]) == (503, "UNAVAILABLE", "2")
    assert answer(told)["detail"].startswith("Too many people act at once")
