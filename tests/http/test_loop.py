"""Whatever a reader asks, others are answered meanwhile: no step of the loop works for long.

Measured in the time that the processor worked, not by the clock, which on a busy machine says little.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dashboard.routes import PAGES, route_of
from server.app import settle
from server.http.openapi import operations
from server.routes import API
from tests.dashboard.visitor import sign_in
from tests.live.rollups import lead
from tests.site import Site
from tests.slo.over_http import picture, send

SERVICES = 600
SERIES = 5000
LAG_S = 0.050
DAY_AGO = (datetime.now(UTC) - timedelta(hours=24)).strftime("%Y-%m-%dT%H:%M:%SZ")
# What is asked where something must be; the dearest of what may be.
ASKED = {
    "/api/v1/services/{service}/series": ("?metric=latency", f"?metric=latency&from={DAY_AGO}", "?metric=volume"),
    "/api/v1/services/{service}/summary": ("?window=1d&group_by=route", "?window=400d"),
    "/api/v1/gate": ("?service=s-0&kind=deploy",),
    "/api/v1/outcomes": ("?limit=500",),
}


class Longest:
    """The longest step of the loop since `begin`, in seconds of work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds, self.what = 0.0, ""
        run = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            began = time.thread_time()
            run(handle)
            if (took := time.thread_time() - began) > self.seconds:
                self.seconds, self.what = took, repr(handle)

        monkeypatch.setattr(asyncio.Handle, "_run", timed)

    def begin(self) -> None:
        self.seconds, self.what = 0.0, ""


def addresses(site: Site) -> Iterator[str]:
    """Every address that is looked at with GET, with names that exist."""
    named = {"service": "s-0", "name": site.parts.policies.objectives[0].name, "month": time.strftime("%Y-%m")}

    def real(match: re.Match[str]) -> str:
        return named.get(match[1], "1")

    routes = [route.path for route, method, _ in operations(API) if method == "get"]
    for route in [*routes, *(route_of(pattern) for pattern, handler in PAGES if handler.takes("GET"))]:
        for query in ("", *ASKED.get(route, ())):
            yield re.sub(r"{(\w+)}", real, route) + query


@pytest.mark.gen_test
async def test_no_question_stops_the_loop(web: Any, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    site = await web(SERVICES_MAX="1000")
    key, cookie = await site.key("ingest", "read", "act", "admin"), await sign_in(site)
    sent = [
        {
            "service": f"s-{n % SERVICES}",
            "route": f"/r-{n // SERVICES}",
            "method": "GET",
            "status": 200,
            "duration_ms": n % 997,
        }
        for n in range(SERIES)
    ]
    for start in range(0, SERIES, 1000):
        await send(site, key, sent[start : start + 1000])
    lead(database_url, 1)
    await picture(site)
    assert len(site.parts.relay.picture.services) >= SERVICES
    assert len(site.parts.policies.objectives) >= SERVICES
    settle()  # as a web process does: the collector does not look at all of pytest's objects each time
    longest, slow = Longest(monkeypatch), {}
    for address in addresses(site):
        for again in (False, True):  # what the first makes and keeps counts too
            longest.begin()
            headers = {"Accept-Encoding": "gzip", "Cookie": cookie}
            found = await site.fetch(address, headers=headers, key=key if address.startswith("/api") else None)
            assert found.code < 500, (address, found.body[:300])
            if longest.seconds > LAG_S:
                slow[address] = (again, round(longest.seconds * 1000), longest.what[:300])
    assert not slow, "\n".join(f"{address}: {told}" for address, told in slow.items())
