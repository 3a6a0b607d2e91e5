"""An old release beside the new one: real processes, each with its own policy file, on one database."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from checks import stragglers
from checks.check import ROOT, Surroundings
from server.kernel.db import Database
from tests.conftest import MakeEnv
from tests.slo.making import SHOP, availability, file, service
from tests.waiting import PATIENCE_S, wait_for

ONE = service("shop") + availability("one", "shop")


def in_force(url: str) -> tuple[int, str]:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT number, source FROM policy_revisions ORDER BY number DESC LIMIT 1").fetchone()
    assert row is not None
    return row[0], row[1]


def names(server: Any, key: str) -> list[str]:
    status, found = server.get("/api/v1/slos", key)
    assert status == 200, found
    return [one["name"] for one in found["objectives"]]


@pytest.mark.soak
@pytest.mark.gen_test
async def test_a_superseded_file_does_not_come_back_by_a_restart(
    running: Callable[..., Any], database_url: str, tmp_path: Path, make_env: MakeEnv
) -> None:
    few = {"WEB_CONCURRENCY": "1"}
    old = running(SLO_FILE=file(tmp_path, ONE, "old.yaml"), **few)
    new_file = Path(file(tmp_path, SHOP, "new.yaml"))
    new = running(SLO_FILE=str(new_file), **few)
    assert in_force(database_url) == (2, SHOP)
    (web,) = [pid for pid in old.children() if Path(f"/proc/{pid}/comm").read_text() == "ek:web.1\n"]
    os.kill(web, signal.SIGKILL)
    wait_for(lambda: "is not the policy in force: revision 2" in old.output(), "the old release to start again")
    old.wait_ready()
    assert in_force(database_url) == (2, SHOP)
    key = new.key("read")
    assert sorted(names(old, key)) == sorted(names(new, key)) != ["one"]

    db = Database(database_url)
    try:

        async def said() -> list[str]:
            return [one.what for one in await stragglers.run(Surroundings(ROOT, make_env(), db))]

        wrong = "The file here is not the policy in force, revision 2."
        async with asyncio.timeout(PATIENCE_S):  # it is told with a heartbeat
            while wrong not in await said():
                await asyncio.sleep(0.05)
        # An objective added to the file is in force in both a moment later, and on Changes.
        new_file.write_text(SHOP + availability("added", "shop"))
        wait_for(lambda: "added" in names(new, key), "the file's own change")
        wait_for(lambda: "added" in names(old, key), "the same in the old release")
        # One with a fault is not; the signal says so at once.
        new_file.write_text(SHOP.replace("openslo/v1", "openslo/v9"))
        new.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "revision 3 stays in force, the file cannot be used" in new.output(), "the fault to be told")
        # The release phase of the old one decides: the rollback.
        old.command("slo", "apply")
        wait_for(lambda: names(new, key) == ["one"], "the old policy")
        assert in_force(database_url)[0] == 4
        found = new.get("/api/v1/changes?service=shop", key)[1]["changes"]
        assert [(one["kind"], one["version"]) for one in found] == [("policy", "4"), ("policy", "3"), ("policy", "2")]
        assert "added removed" in found[0]["summary"]
        assert "added added" in found[1]["summary"]
    finally:
        await db.close()


def test_slo_apply_refuses_what_cannot_be_used(running: Callable[..., Any], database_url: str, tmp_path: Path) -> None:
    server = running(SLO_FILE=file(tmp_path, ONE), WEB_CONCURRENCY="1")
    wrong = file(tmp_path, ONE.replace("0.999", "1.5"), "wrong.yaml")
    with pytest.raises(AssertionError, match=r"target: is 1\.5"):
        server.command("slo", "apply", wrong)
    assert in_force(database_url) == (1, ONE)
