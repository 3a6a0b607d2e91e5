"""A check has a time limit, and a crash is a failed check."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from checks import runner
from checks.check import ROOT, Check, Surroundings, Unavailable, fail, warn
from server.selfcheck.findings import CheckResult, Finding

AROUND = Surroundings(ROOT)


async def result_of(run: object, limit_s: float = 5) -> CheckResult:
    return await runner.run(Check("x", "a check", "files", run, every_s=1, limit_s=limit_s), AROUND)  # type: ignore[arg-type]


@pytest.mark.gen_test
async def test_no_findings_pass() -> None:
    async def run(around: Surroundings) -> list[Finding]:
        return []

    found = await result_of(run)
    assert (found.status, found.findings) == ("pass", [])


@pytest.mark.gen_test
async def test_the_worst_finding_is_the_status_and_comes_first() -> None:
    async def run(around: Surroundings) -> list[Finding]:
        return [warn("w", "h"), fail("f", "h"), warn("w", "h")]

    found = await result_of(run)
    assert found.status == "fail"
    assert [finding.level for finding in found.findings] == ["fail", "warn", "warn"]


@pytest.mark.gen_test
async def test_a_crash_is_a_failed_check() -> None:
    async def run(around: Surroundings) -> list[Finding]:
        raise ValueError("a surprise\nwith a second line")

    found = await result_of(run)
    assert found.status == "fail"
    assert found.findings[0].what == "The check crashed: ValueError: a surprise"


@pytest.mark.gen_test
async def test_a_check_that_hangs_is_stopped() -> None:
    stopped = asyncio.Event()

    async def run(around: Surroundings) -> list[Finding]:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()
        return []

    found = await result_of(run, limit_s=0.05)
    assert found.status == "fail"
    assert "longer than 0.05 s" in found.findings[0].what
    assert stopped.is_set()


@pytest.mark.gen_test
async def test_its_own_time_out_is_a_crash_not_our_limit() -> None:
    async def run(around: Surroundings) -> list[Finding]:
        raise TimeoutError("the pool")

    assert "crashed: TimeoutError: the pool" in (await result_of(run)).findings[0].what


@pytest.mark.gen_test
async def test_a_database_that_is_away_is_no_crash() -> None:
    async def run(around: Surroundings) -> list[Finding]:
        raise psycopg.OperationalError("connection to server at 10.0.0.9 failed\nwith a second line")

    (found,) = (await result_of(run)).findings
    assert found.what == "A database that it asks does not answer: connection to server at 10.0.0.9 failed"


@pytest.mark.gen_test
async def test_what_is_missing_is_said_with_what_to_do() -> None:
    async def run(around: Surroundings) -> list[Finding]:
        raise Unavailable("No database.", "Start it.")

    assert (await result_of(run)).findings == [fail("No database.", "Start it.")]


@pytest.mark.gen_test
async def test_being_cancelled_is_not_a_finding() -> None:
    async def run(around: Surroundings) -> list[Finding]:
        await asyncio.sleep(60)
        return []

    task = asyncio.create_task(result_of(run))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.gen_test
async def test_a_flood_of_findings_is_cut_and_counted() -> None:
    async def run(around: Surroundings) -> list[Finding]:
        return [warn(str(n), "h") for n in range(70)] + [fail("the bad one", "h")]

    found = await result_of(run)
    assert len(found.findings) == runner.FINDINGS_KEPT + 1
    assert found.findings[0].what == "the bad one"
    assert found.findings[-1].what == "21 more."
