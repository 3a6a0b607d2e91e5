"""The whole way of an outcome: sent, acknowledged, in the picture, in the answers and in the ledger."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from server.app import start_watch
from tests.site import Site, answer
from tests.waiting import until

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
