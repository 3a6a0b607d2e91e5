"""What is captured once an incident has begun: its scope, from real outcomes, once, whoever acts meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.incidents import store
from server.incidents.capturing import WITHIN_S, Capturing
from server.incidents.incident import Captured, Incident
from server.kernel import shared_clock
from server.picture.picture import Picture
from server.process.watch import Fenced
from tests.dashboard.visitor import look, sign_in
from tests.incidents.test_suspects_api import traffic
from tests.live.rollups import lead
from tests.live.test_handlers import item
from tests.site import Site, answer

Web = Callable[..., Any]


def failing(n: int, after: bool) -> dict[str, Any]:
    """A fifth of the requests comes from v2 and fails there, by a dependency that only failures name."""
    version = "v2" if after and n % 5 == 0 else "v1"
    bad = {"status": 502, "error_class": "Timeout", "dependency": "stripe"} if version == "v2" else {}
    return item(route=f"/r{n % 2}", version=version, client=f"c{n % 5}", **bad)


async def born(site: Site, onset: float) -> Incident:
    """An incident as an alert makes one."""
    seen = Captured(onset + 20, onset, "change point", "20 % of requests fail")
    made = Incident(0, "suspected", 2, "shop failing", "shop", "alert", onset, "change point", onset + 20, seen)
    async with site.parts.db.act() as connection:
        return await store.add(connection, made)


async def captured(site: Site, incident_id: int = 1) -> Captured:
    async with site.parts.db.ask() as connection:
        found = await store.one(connection, incident_id)
    assert found is not None
    return found.captured


@pytest.mark.gen_test
async def test_the_scope_is_captured_once_of_every_field_that_says_something(
    web: Web, database_url: str, tmp_path: Path
) -> None:
    site = await web()
    lead(database_url, 1)
    key = await site.key("ingest", "read")
    onset = await traffic(site, key, failing)
    await born(site, onset)
    await site.fetch("/api/v1/incidents", key="ek_nobody_knows_this_one")
    picture = Picture(1, onset + 60, 1, "watch", [], [], 1, None)
    job = Capturing(site.parts.db, site.parts.bus, lambda: picture)
    with pytest.raises(Fenced):
        await job.run(0)
    assert (await captured(site)).scope is None, "of another watch"
    await job.run(1)
    seen = await captured(site)
    assert seen.scope is not None
    told = {name: [(one.name, one.bad, one.n) for one in shares] for name, shares in seen.scope.items()}
    assert told["version"] == [("v2", 100, 100)]
    assert told["route"] == [("/r0", 50, 250), ("/r1", 50, 250)]
    assert told["client"] == [("c0", 100, 100)]
    assert told["status"] == [("502", 100, 500)]
    assert told["error_class"] == [("Timeout", 100, 500)]
    assert told["dependency"] == [("stripe", 100, 500)]
    assert not told.keys() & {"instance", "method", "key"}, "the same of all"
    assert seen.evenkeel["redis"] == "not configured"
    await job.run(1)
    timeline = answer(await site.fetch("/api/v1/incidents/1/timeline", key=key))["lines"]
    (line,) = [one for one in timeline if one["kind"] == "scope"]
    assert "version v2 100 of 100" in line["text"]
    shown = (await look(site, "/incidents/1", await sign_in(site))).body.decode()
    assert "<dt>Error class</dt><dd" in shown


@pytest.mark.gen_test
async def test_what_no_outcome_tells_is_waited_for_and_then_left(web: Web, database_url: str) -> None:
    site = await web()
    lead(database_url, 1)
    job = Capturing(site.parts.db, site.parts.bus, lambda: None)
    await born(site, shared_clock.now() - 20)
    await job.run(1)
    assert (await captured(site, 1)).scope is None, "it may be counted in a moment"
    await born(site, shared_clock.now() - 20 - WITHIN_S)
    await job.run(1)
    assert (await captured(site, 2)).scope == {}
