"""The checks inside the service: when they run, what is kept, and what a killed one says."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from checks import apart, registry, schedule
from checks.check import ROOT, Check, Surroundings, fail, warn
from server import __version__
from server.kernel.db import Database
from server.selfcheck import store
from server.selfcheck.findings import CheckResult, Finding
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
async def test_a_server_that_failed_is_asked_again_soon(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    db, found = Database(database_url), [[fail("starting", "h")], [], []]

    async def run(around: Surroundings) -> list[Finding]:
        return found.pop(0)

    monkeypatch.setattr(schedule, "FAILED_S", 0.0)
    scheduled = schedule.Scheduled(a_check(needs="server", run=run), Surroundings(ROOT, db=db))
    try:
        for _ in range(3):
            await scheduled.run(1)
        async with db.ask() as connection:
            assert [one.status for one in await store.history(connection, "probe", 10)] == ["pass", "fail"]
    finally:
        await db.close()


@pytest.mark.gen_test
async def test_one_of_the_repository_runs_once_a_version_and_once_a_day(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = Database(database_url)
    started: list[str] = []

    async def run(names: list[str], around: Surroundings) -> list[CheckResult]:
        started.append(schedule.__version__)
        return [CheckResult(name, "pass", datetime.now(UTC), 1.0, [], schedule.__version__) for name in names]

    async def restart(version: str) -> None:
        """As after each start of a watch of this version: nothing is known but what the database has."""
        monkeypatch.setattr(schedule, "__version__", version)
        await schedule.OfRepository(["docs_routes"], Surroundings(ROOT, db=db)).run(1)

    monkeypatch.setattr(apart, "run", run)
    try:
        for version in ("1.0.0", "1.0.0", "1.1.0", "1.1.0", "1.0.0", "1.0.0"):
            await restart(version)
        assert started == ["1.0.0", "1.1.0", "1.0.0"], "the newest result is of the version that runs"
        async with db.act() as connection:
            await connection.exec_driver_sql("UPDATE check_results SET at = at - interval '25 hours'")
        await restart("1.0.0")
        assert len(started) == 4, "a day later it runs again"
        async with db.ask() as connection:
            assert [result.version for result in await store.latest(connection)] == ["1.0.0"]
    finally:
        await db.close()


@pytest.mark.gen_test
async def test_what_is_no_longer_run_is_not_shown(database_url: str) -> None:
    db = Database(database_url)
    now = datetime.now(UTC)
    try:
        async with db.act() as connection:
            for hours, name, version in ((4, "gone", None), (4, "docs_routes", "1.0.0"), (27, "old_docs", "1.0.0")):
                result = CheckResult(name, "pass", now - timedelta(hours=hours), 1.0, [], version)
                await store.record(connection, result)
            assert [result.name for result in await store.latest(connection)] == ["docs_routes"]
    finally:
        await db.close()


LOADED = """
import sys, server.app
from checks import registry
for name in registry.RUNNING:
    registry.load(name)
print(*sorted(sys.modules))
"""


def test_the_service_loads_no_command_line_and_no_check_of_the_repository() -> None:
    found = subprocess.run([sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(found.stdout.split())
    assert {"server.app", "checks.schedule", "checks.watch"} <= loaded
    unwanted = {"click", "alembic", "pglast", "server.__main__", "checks.__main__", "checks.markdown", "checks.locks"}
    assert not loaded & (unwanted | {f"checks.{name}" for name in registry.REPOSITORY})


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
    return msgspec.structs.replace(result, at=result.at - timedelta(days=days))


@pytest.mark.gen_test
async def test_every_check_has_a_job_that_comes_soon(make_env: MakeEnv, database_url: str) -> None:
    db = Database(database_url)
    found = schedule.jobs(make_env(), db)
    await db.close()
    *running, own, _ = found
    assert [job.name for job in running] == [f"check {name}" for name in registry.RUNNING]
    for name, job in zip(registry.RUNNING, running, strict=True):
        assert (job.first_s, job.every_s <= 30) == (0, True)
        assert job.limit_s > registry.load(name).limit_s
    assert own.limit_s > apart.LIMIT_S > sum(registry.load(name).limit_s for name in registry.REPOSITORY)
    assert own.first_s > 30, "a start has other things to do"


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:81"), ("10.0.0.4", "http://10.0.0.4:81"), ("::1", "http://[::1]:81")],
)
def test_where_we_answer(make_env: MakeEnv, host: str, url: str) -> None:
    assert schedule.own_url(make_env(HOST=host, PORT="81")) == url


@pytest.mark.gen_test
async def test_the_repository_is_checked_by_one_process_of_its_own(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    output = apart.output

    async def noted(command: list[str], around: Surroundings) -> tuple[bytes, bytes]:
        commands.append(command)
        return await output(command, around)

    monkeypatch.setattr(apart, "output", noted)
    db = Database(database_url)
    try:
        for _ in range(2):
            await schedule.OfRepository(registry.REPOSITORY, Surroundings(ROOT, db=db)).run(1)
        async with db.ask() as connection:
            kept = await store.latest(connection)
    finally:
        await db.close()
    found = [(result.name, result.status, result.findings, result.version) for result in kept]
    assert found == [(name, "pass", [], __version__) for name in registry.REPOSITORY]
    assert len(commands) == 1


@pytest.mark.gen_test
async def test_a_process_that_dies_is_a_failed_check() -> None:
    for result in await apart.run(["schema_policy", "no_such_check"], Surroundings(ROOT), limit_s=60.0):
        assert result.status == "fail"
        assert "There is no check" in result.findings[0].what


@pytest.mark.gen_test
async def test_a_process_over_its_time_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "pid"
    stuck = tmp_path / "python"
    stuck.write_text(f"#!/bin/sh\necho $$ > {mark}\nexec sleep 60\n")
    stuck.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stuck))
    (result,) = await apart.run(["probe"], Surroundings(ROOT), limit_s=1.0)
    assert "longer than 1 s" in result.findings[0].what
    assert not Path(f"/proc/{mark.read_text().strip()}").exists()


@pytest.mark.gen_test
async def test_cancelling_kills_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "pid"
    stuck = tmp_path / "python"
    stuck.write_text(f"#!/bin/sh\necho $$ > {mark}\nexec sleep 60\n")
    stuck.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stuck))
    task = asyncio.create_task(apart.run(["probe"], Surroundings(ROOT)))
    while not mark.exists() or not mark.read_text().strip():
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not Path(f"/proc/{mark.read_text().strip()}").exists()
