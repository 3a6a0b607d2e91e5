"""The checks inside the service: when they run, what is kept, and what a killed one says."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from checks import apart, registry, schedule
from checks.check import ROOT, Check, Surroundings, warn
from server.kernel.db import Database
from server.selfcheck import store
from server.selfcheck.findings import Finding
from tests.conftest import MakeEnv


def a_check(**values: object) -> Check:
    async def run(around: Surroundings) -> list[Finding]:
        return [warn("w", "h", "here")]

    return replace(Check("probe", "a probe", "files", run, every_s=3600, limit_s=5), **values)  # type: ignore[arg-type]


@pytest.mark.gen_test
async def test_a_check_runs_when_due_and_its_result_is_kept(database_url: str) -> None:
    db = Database(database_url)
    scheduled = schedule.Scheduled(a_check(), Surroundings(ROOT, db=db))
    try:
        for _ in range(3):
            await scheduled.run(1)
        async with db.ask() as connection:
            (kept,) = await store.history(connection, "probe", 10)
            assert await store.latest(connection) == [kept]
    finally:
        await db.close()
    assert kept.status == "warn"
    assert kept.findings == [warn("w", "h", "here")]


@pytest.mark.gen_test
async def test_old_results_are_forgotten(database_url: str) -> None:
    db = Database(database_url)
    try:
        await schedule.Scheduled(a_check(), Surroundings(ROOT, db=db)).run(1)
        async with db.act() as connection:
            (old,) = await store.history(connection, "probe", 1)
            await store.record(connection, replace_at(old, days=store.KEPT_DAYS + 1))
            assert await store.forget_old(connection) == 1
            assert await store.history(connection, "probe", 10) == [old]
    finally:
        await db.close()


def replace_at(result: store.CheckResult, days: int) -> store.CheckResult:
    from datetime import timedelta

    import msgspec

    return msgspec.structs.replace(result, at=result.at - timedelta(days=days))


@pytest.mark.gen_test
async def test_every_check_has_a_job_that_comes_soon(make_env: MakeEnv, database_url: str) -> None:
    db = Database(database_url)
    found = schedule.jobs(make_env(), db)
    await db.close()
    assert [job.name for job in found[:-1]] == [f"check {check.name}" for check in registry.CHECKS]
    assert all(job.every_s <= 30 for job in found[:-1])
    assert all(job.limit_s > check.limit_s for job, check in zip(found, registry.CHECKS, strict=False))


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:81"), ("10.0.0.4", "http://10.0.0.4:81"), ("::1", "http://[::1]:81")],
)
def test_where_we_answer(make_env: MakeEnv, host: str, url: str) -> None:
    assert schedule.own_url(make_env(HOST=host, PORT="81")) == url


@pytest.mark.gen_test
async def test_a_check_in_a_process_of_its_own() -> None:
    (check,) = registry.named(("schema_policy",))
    result = await apart.run(check, Surroundings(ROOT))
    assert (result.status, result.findings) == ("pass", [])


@pytest.mark.gen_test
async def test_a_process_that_dies_is_a_failed_check() -> None:
    result = await apart.run(a_check(name="no_such_check", limit_s=60.0), Surroundings(ROOT))
    assert result.status == "fail"
    assert "There is no check" in result.findings[0].what


@pytest.mark.gen_test
async def test_a_process_over_its_time_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "pid"
    stuck = tmp_path / "python"
    stuck.write_text(f"#!/bin/sh\necho $$ > {mark}\nexec sleep 60\n")
    stuck.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stuck))
    result = await apart.run(a_check(limit_s=1.0), Surroundings(ROOT))
    assert "longer than 1 s" in result.findings[0].what
    assert not Path(f"/proc/{mark.read_text().strip()}").exists()


@pytest.mark.gen_test
async def test_cancelling_kills_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "pid"
    stuck = tmp_path / "python"
    stuck.write_text(f"#!/bin/sh\necho $$ > {mark}\nexec sleep 60\n")
    stuck.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stuck))
    task = asyncio.create_task(apart.run(a_check(), Surroundings(ROOT)))
    while not mark.exists() or not mark.read_text().strip():
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not Path(f"/proc/{mark.read_text().strip()}").exists()
