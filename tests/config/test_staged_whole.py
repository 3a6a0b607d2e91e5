"""A staged revision on the whole service, as processes: four web processes, a watch that is killed, a real burn."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.running import Running
from tests.slo.making import SHOP, file
from tests.waiting import wait_for

BATCH = "INGEST_MAX_BATCH_ITEMS"


@pytest.mark.soak
def test_a_real_burn_rolls_it_back_also_where_the_watch_is_killed_meanwhile(
    running: Any, tmp_path: Path, database_url: str
) -> None:
    server: Running = running(SLO_FILE=file(tmp_path, SHOP), WEB_CONCURRENCY="4")
    key = server.key("ingest", "read", "act")
    bulk = server.key("ingest")  # what it is refused makes no other partial
    asked = {"values": {BATCH: 2}, "reason": "a test", "stage": {"share": 0.25, "bake_minutes": 10}}

    def config() -> dict[str, Any]:
        status, body = server.get("/api/v1/config", key)
        assert status == 200, body
        return dict(body)

    def staged() -> bool:
        status, body = server.call("PATCH", "/api/v1/config", key=key, data=asked, headers={"If-Match": '"1"'})
        # While the objectives are not evaluated, and while processes that start are too busy to beat.
        waits = status == 503 or (status == 422 and body["errors"][0]["field"] == "stage")
        assert status == 200 or waits, body
        return status == 200

    def send(count: int, status: int, service: str = "bulk", sender: str = bulk) -> int:
        one = {"service": service, "route": "/", "method": "GET", "status": status, "duration_ms": 5}
        return server.call("POST", "/api/v1/outcomes", key=sender, data=[one] * count)[0]

    wait_for(lambda: len(config()["rollout"]["receipts"]) == 4, "all four to have applied the first revision")
    wait_for(staged, "the objectives to be evaluated and all four to beat, then the revision to be staged")
    wait_for(lambda: config()["staged"]["applied"] == 1, "the receipt of the chosen process")
    receipts = config()["rollout"]["receipts"]
    assert sorted((one["revision"], one["due"], one["state"]) for one in receipts) == [
        *[(1, 1, "applied")] * 3,
        (2, 2, "applied"),
    ]
    assert {send(3, 200) for _ in range(24)} == {201, 413}, "each connection meets one of the four processes"
    wait_for(lambda: config()["staged"]["baked_s"] > 0, "the bake clock to run")
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT p.pid FROM lease JOIN processes p ON p.id = lease.process_id").fetchone()
    assert row is not None
    os.kill(row[0], signal.SIGKILL)
    for _ in range(40):
        send(1, 500, "shop", key)
    wait_for(lambda: config()["staged"]["state"] == "rolled_back", "the new watch to see the burn")
    after = config()
    assert (after["revision"]["kind"], after["revision"]["author"], after["revision"]["restores"]) == (
        "rollback",
        "evenkeel",
        1,
    )
    assert after["staged"]["text"].startswith("Rolled back by Evenkeel: shop-works burns ")
    wait_for(lambda: config()["rollout"]["complete"], "the receipts of all four")
    assert {send(3, 200) for _ in range(12)} == {201}
