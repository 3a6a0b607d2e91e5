"""From failing requests to a message on a telephone and an acknowledgement, on a real server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.notify.hook import Hook
from tests.waiting import wait_for

Start = Callable[..., Any]


def test_requests_fail_and_somebody_hears_of_it(running: Start) -> None:
    """Nobody has configured the service: its provisional objective finds the outage."""
    hook = Hook()
    server = running(NOTIFY_ALLOW_PRIVATE="true", PUBLIC_URL="https://evenkeel.example.com")
    key = server.key("ingest", "read", "act", "admin")
    target = {"name": "ops", "kind": "webhook", "address": f"http://127.0.0.1:{hook.port}/"}
    assert server.call("POST", "/api/v1/targets", key=key, data=target)[0] == 201

    def some_fail() -> bool:
        failed = {
            "service": "shop",
            "route": "/pay",
            "method": "POST",
            "status": 502,
            "duration_ms": 9,
            "version": "v2",
        }
        assert server.call("POST", "/api/v1/outcomes", key=key, data=[failed] * 30)[0] == 201
        time.sleep(0.5)
        return len(hook.bodies) > 0

    with hook.up():
        wait_for(some_fail, "the page")
        told = hook.bodies[0]
        assert told["event"] == "trigger"
        assert told["text"].startswith("SEV-1 shop: ")
        assert "100 % of requests fail" in told["text"]
        assert told["link"] == f"https://evenkeel.example.com/alerts/{told['alert']['id']}"
        path = f"/api/v1/alerts/{told['alert']['id']}/acknowledge"
        assert server.call("POST", path, key=key)[0] == 200
        wait_for(lambda: any(body["event"] == "acknowledge" for body in hook.bodies), "the acknowledgement")
    kept = server.get(f"/api/v1/alerts/{told['alert']['id']}", key)[1]
    assert kept["alert"]["notified_at"] is not None
    assert [body["event"] for body in hook.bodies].count("trigger") == 1
    metrics = server.get("/metrics", key)[1]
    assert 'kind="webhook",result="sent"' in metrics
