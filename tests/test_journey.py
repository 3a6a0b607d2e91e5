"""The whole way of an outcome: sent, acknowledged, in the picture, in the answers and in the ledger."""

import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from server.app import start_watch
from tests.site import Site, answer
from tests.slo.making import availability, file
from tests.slo.making import service as named
from tests.waiting import PATIENCE_S, until

Web = Callable[..., Awaitable[Site]]


@pytest.mark.gen_test
async def test_an_outcome_travels_from_the_sender_to_every_answer(web: Web) -> None:
    site = await web()
    watching = await start_watch(site.env, "watch.1")
    try:
        key = await site.key("ingest", "read")
        batch = [
            {"service": "checkout", "route": "/pay", "method": "POST", "status": 200, "duration_ms": 10 + i}
            for i in range(99)
        ] + [{"service": "checkout", "route": "/pay", "method": "POST", "status": 503, "duration_ms": 900}]
        sent = await site.fetch("/api/v1/outcomes", method="POST", key=key, data=batch)
        assert (sent.code, answer(sent)) == (201, {"accepted": 100}), sent.body

        def seen() -> Any:
            picture = site.parts.relay.picture
            return picture and next((s for s in picture.services if s.name == "checkout" and s.n == 100), None)

        service = await until(seen, "the outcomes to be in the picture")
        assert service.bad == 1
        assert service.worst_route.name == "POST /pay"

        summary = answer(await site.fetch("/api/v1/services/checkout/summary?window=5m", key=key))
        assert (summary["volume"], summary["error_ratio"]) == (100, 0.01)
        assert summary["p95_ms"] == pytest.approx(104, rel=0.01)
    finally:
        await watching.close()


WELL_S, FAILS_S = 60, 10
AHEAD_S = {"right": 0, "ahead": 30, "far-ahead": 120}


def ten_a_second(name: str, until_s: int) -> list[dict[str, Any]]:
    """A minute without failures, then ten seconds of nothing else, by a clock that shows `until_s` at the end."""
    usual = {"service": name, "route": "/", "method": "GET", "duration_ms": 12}
    return [
        usual | {"status": 500 if age_s <= FAILS_S else 200, "timestamp": (until_s - age_s) * 1000}
        for age_s in range(WELL_S + FAILS_S, 0, -1)
        for _ in range(10)
    ]


@pytest.mark.gen_test
async def test_a_sender_whose_clock_is_ahead_is_detected_as_any_other(web: Web, tmp_path: Path) -> None:
    policy = "".join(named(name) + availability(f"{name}-works", name) for name in AHEAD_S)
    site = await web(SLO_FILE=file(tmp_path, policy))
    watching = await start_watch(site.env, "watch.1")
    try:
        reader, sent, found = await site.key("read"), dict[str, tuple[float, float]](), dict[str, Any]()
        for name, ahead_s in AHEAD_S.items():
            key, before = await site.key("ingest", name=name), time.time()
            batch = ten_a_second(name, int(before) + ahead_s)
            told = await site.fetch("/api/v1/outcomes", method="POST", key=key, data=batch)
            assert told.code == 201, told.body
            sent[name] = before, time.time()
        skews = dict[str, float]()
        while found.keys() != AHEAD_S.keys() or not (skews["ahead"] and skews["far-ahead"]):
            assert time.time() < before + PATIENCE_S, f"only {list(found)} were found, with {skews}"
            open_ = answer(await site.fetch("/api/v1/alerts", key=reader))["alerts"]
            found = {one["service"]: one for one in open_ if one["state"] == "firing"}
            services = answer(await site.fetch("/api/v1/services", key=reader))["services"]
            skews = {one["name"]: one["clock_ahead_s"] for one in services}
        for name, (before, after) in sent.items():
            onset = datetime.fromisoformat(found[name]["onset"]).timestamp()
            assert before - FAILS_S - 2 <= onset <= after - FAILS_S + 1, name
            assert found[name]["evidence"]["bad"] == 100
            assert skews[name] == pytest.approx(AHEAD_S[name], abs=after - before + 2), name
    finally:
        await watching.close()
