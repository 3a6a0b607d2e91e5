"""Machines whose clock is wrong: real processes, a quarter of an hour ahead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from checks import clocks
from checks.check import ROOT, Surroundings
from server.kernel.db import Database
from tests.conftest import MakeEnv
from tests.waiting import PATIENCE_S, wait_for

AHEAD_S = 900
OUTCOME = {"service": "checkout", "route": "/pay", "method": "POST", "status": 500, "duration_ms": 12}


@pytest.fixture
def ahead(running: Callable[..., Any], tmp_path: Path) -> Any:
    """A server on a machine that is a quarter of an hour ahead."""
    (tmp_path / "sitecustomize.py").write_text(
        f"import time\nright = time.time\ntime.time = lambda: right() + {AHEAD_S}\n"
    )
    return running(PYTHONPATH=str(tmp_path), WEB_CONCURRENCY="1")


@pytest.mark.gen_test
async def test_it_stamps_by_the_database_and_a_check_names_it(ahead: Any, database_url: str, make_env: MakeEnv) -> None:
    key = ahead.key("ingest", "read")
    assert ahead.call("POST", "/api/v1/outcomes", key=key, data=[OUTCOME])[0] == 201
    with psycopg.connect(database_url, autocommit=True) as connection:
        (age,) = connection.execute("SELECT extract(epoch FROM now() - at) FROM outcomes").fetchone() or (None,)
    assert age is not None
    assert -1 < age < PATIENCE_S

    def checkout() -> Any:
        services = ahead.get("/api/v1/services", key)[1]["services"]
        return next((one for one in services if one["name"] == "checkout" and one["volume"]), None)

    assert wait_for(checkout, "the outcome of now")["volume"] == 1
    assert ahead.get("/health/ready")[1]["checks"]["clock"][0]["mode"] == "clock_off"
    db = Database(database_url)
    try:
        (found,) = await clocks.run(Surroundings(ROOT, make_env(), db))
    finally:
        await db.close()
    assert found.what == "Its clock is 15 min ahead of the database's."
    assert found.where
