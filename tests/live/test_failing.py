"""What the failing requests of a service share, from real ingest; and the newest of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from server.kernel import shared_clock
from server.live.outcomes import FailingRequests, SharedValue, failing_requests
from tests.live.test_handlers import item, send
from tests.site import Site

Web = Callable[..., Any]


async def failing(site: Site, over_ms: float | None = None, service: str = "shop") -> FailingRequests:
    async with site.parts.db.ask() as connection:
        return await failing_requests(connection, service, shared_clock.now(), over_ms)


@pytest.mark.gen_test
async def test_what_fails_is_counted_by_what_it_shares_and_the_newest_can_be_opened(web: Web) -> None:
    site = await web()
    key = await site.key("ingest", "read")
    bad = {"status": 502, "error_class": "UpstreamTimeout", "dependency": "bank"}
    await send(site, key, [item(request_id=f"good-{n}", client="c1") for n in range(20)])
    await send(site, key, [item(request_id=f"bad-{n}", client=f"c{n % 4}", instance="pod-3", **bad) for n in range(8)])
    await send(site, key, [item(request_id="told", error=True, version="v2"), item(service="other", status=500)])
    found = await failing(site)
    assert found.read == 9
    assert found.shared["error_class"] == [SharedValue("UpstreamTimeout", 8)]
    assert found.shared["instance"] == [SharedValue("pod-3", 8)]
    assert found.shared["status"] == [SharedValue("502", 8), SharedValue("200", 1)]
    assert [one.n for one in found.shared["client"]] == [2, 2, 2], "three values are told of a field"
    assert "trace_id" not in found.shared
    assert found.newest[0].request_id == "told", "a sender's word outranks the status"
    assert len(found.newest) == 5


@pytest.mark.gen_test
async def test_of_what_is_slow_those_over_the_threshold_are_shown(web: Web) -> None:
    site = await web()
    key = await site.key("ingest", "read")
    slow = item(duration_ms=900, dependency="search", request_id="slow")
    await send(site, key, [item(), slow, item(status=500, duration_ms=2000), item(duration_ms=64.1)])
    found = await failing(site, over_ms=64.1)
    assert [one.request_id for one in found.newest] == ["slow"], "what failed is not told as slow"
    assert found.shared["dependency"] == [SharedValue("search", 1)]


@pytest.mark.gen_test
async def test_a_service_of_which_nothing_fails_shares_nothing(web: Web) -> None:
    site = await web()
    await send(site, await site.key("ingest", "read"), [item()])
    assert await failing(site) == FailingRequests(0, {}, [])
