"""The loop: when it runs, what it logs, and that it ends whatever a library does with its cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest

from server.kernel import loop as module
from server.kernel.loop import Loop
from tests.waiting import NEVER_S, PATIENCE_S, until

pytestmark = pytest.mark.gen_test

Run = Callable[[], Awaitable[None]]


class Runs:
    """A run that counts; `then` is what it does besides."""

    def __init__(self, then: Run | None = None) -> None:
        self.begun = 0
        self.ended = 0
        self.then = then

    async def __call__(self) -> None:
        self.begun += 1
        if self.then is not None:
            await self.then()
        self.ended += 1


@asynccontextmanager
async def started(made: Loop) -> AsyncIterator[Loop]:
    made.start()
    try:
        yield made
    finally:
        async with asyncio.timeout(PATIENCE_S):
            await made.close()
        assert not made.running


async def turns(number: int = 20) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_it_waits_then_runs_and_waits_again() -> None:
    at: list[float] = []

    async def run() -> None:
        at.append(time.monotonic())

    begun = time.monotonic()
    async with started(Loop("test", run, 0.05)):
        await until(lambda: len(at) >= 4, "four runs")
    assert all(later - earlier >= 0.049 for earlier, later in zip([begun, *at], at, strict=False))


async def test_the_pause_may_be_asked_for_anew_each_time() -> None:
    pauses = [0.01, 0.01, NEVER_S]
    runs = Runs()
    async with started(Loop("test", runs, lambda: pauses[runs.begun])):
        await until(lambda: runs.begun == 2, "two runs")
        await asyncio.sleep(0.05)
        assert runs.begun == 2


async def test_a_wake_ends_the_wait_and_several_count_as_one() -> None:
    runs = Runs()
    async with started(Loop("test", runs, NEVER_S)) as made:
        await turns()
        assert runs.begun == 0
        made.wake()
        made.wake(7)
        await turns()
        assert runs.begun == 1


async def test_after_a_wake_it_waits_the_whole_time_again() -> None:
    at: list[float] = []

    async def run() -> None:
        at.append(time.monotonic())

    async with started(Loop("test", run, 0.2)) as made:
        await asyncio.sleep(0.1)
        made.wake()
        await until(lambda: len(at) == 2, "two runs")
    assert at[1] - at[0] >= 0.199


async def test_a_wake_before_the_start_leads_to_a_first_run_at_once() -> None:
    runs = Runs()
    made = Loop("test", runs, NEVER_S)
    made.wake()
    async with started(made):
        await turns()
        assert runs.begun == 1


async def test_a_wake_during_a_run_leads_to_one_more() -> None:
    go = asyncio.Event()

    async def wait() -> None:
        await go.wait()

    runs = Runs(wait)
    made = Loop("test", runs, NEVER_S)
    made.wake()
    async with started(made):
        await turns()
        made.wake()
        made.wake()
        go.set()
        await turns()
        assert runs.ended == 2


async def test_without_a_pause_it_runs_as_soon_as_the_last_run_has_ended() -> None:
    arriving: asyncio.Queue[int] = asyncio.Queue()
    taken: list[int] = []

    async def run() -> None:
        taken.append(await arriving.get())

    async with started(Loop("test", run, 0)):
        for number in range(5):
            arriving.put_nowait(number)
        await turns()
        assert taken == [0, 1, 2, 3, 4]


async def test_a_run_that_takes_too_long_is_cut_off_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    runs = Runs(lambda: asyncio.sleep(NEVER_S))
    async with started(Loop("testing", runs, 0.01, limit_s=0.02)) as made:
        await until(lambda: runs.begun >= 3, "three tries")
        assert made.failing
    assert runs.ended == 0
    assert [record.getMessage() for record in caplog.records] == ["testing: TimeoutError; trying again"]


async def test_an_outage_is_logged_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="evenkeel.loop")
    away = [True]

    async def run() -> None:
        if away:
            raise psycopg.OperationalError("no route\nto host")

    runs = Runs(run)
    async with started(Loop("testing", runs, 0.01)) as made:
        for _ in range(2):
            begun = runs.begun
            await until(lambda begun=begun: runs.begun > begun + 3, "several failures")  # type: ignore[misc]
            assert made.failing
            away.clear()
            await until(lambda: not made.failing, "it to work")
            away.append(True)
    begins, ends = "testing: no route; trying again", "testing: works again"
    assert [record.getMessage() for record in caplog.records][:4] == [begins, ends, begins, ends]
    assert [record.levelname for record in caplog.records][:2] == ["WARNING", "INFO"]


async def test_a_run_that_goes_on_says_by_itself_that_it_works(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="evenkeel.loop")

    async def listen() -> None:
        if runs.begun < 3:
            raise OSError("away")
        made.works()
        await asyncio.sleep(NEVER_S)

    runs = Runs(listen)
    made = Loop("listening", runs, 0.01)
    async with started(made):
        await until(lambda: runs.begun == 3 and not made.failing, "it to listen")
    expected = ["listening: away; trying again", "listening: works again"]
    assert [record.getMessage() for record in caplog.records] == expected


async def test_what_nobody_expected_has_its_traceback_each_time_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> None:
        raise ZeroDivisionError(f"run {runs.begun}")

    runs = Runs(run)
    async with started(Loop("testing", runs, 0.01)):
        await until(lambda: runs.begun >= 3, "three runs")
    assert [f"ZeroDivisionError: run {n}" in caplog.text for n in (1, 2)] == [True, True]
    assert "Traceback" in caplog.text


async def test_after_a_failure_it_waits_as_long_as_was_said_for_that() -> None:
    async def run() -> None:
        if runs.begun < 4:
            raise OSError

    runs = Runs(run)
    made = Loop("testing", runs, NEVER_S, retry_s=0.01)
    made.wake()
    async with started(made):
        await until(lambda: runs.ended == 1, "a run that works")
        await asyncio.sleep(0.05)
        assert runs.begun == 4


async def test_it_may_be_closed_before_it_was_started_twice_and_started_again() -> None:
    runs = Runs()
    made = Loop("test", runs, NEVER_S)
    await made.close()
    for _ in range(2):
        made.wake()
        made.start()
        await turns()
        await made.close()
        await made.close()
    assert runs.ended == 2


async def test_closing_may_let_one_last_run_happen() -> None:
    """Whether it waits, or is in the middle of a run that has not seen what came last."""
    for midst in (False, True):
        runs = Runs(lambda: asyncio.sleep(0.02))
        made = Loop("test", runs, NEVER_S)
        if midst:
            made.wake()
        made.start()
        await turns()
        await made.close(last_run_s=PATIENCE_S)
        assert runs.ended == (2 if midst else 1)


async def test_a_last_run_that_takes_too_long_is_cut_off() -> None:
    runs = Runs(lambda: asyncio.sleep(NEVER_S))
    made = Loop("test", runs, NEVER_S)
    made.start()
    async with asyncio.timeout(PATIENCE_S):
        await made.close(last_run_s=0.05)
    assert (runs.begun, runs.ended) == (1, 0)


STEPS = 6


async def honest() -> None:
    await turns(STEPS)


async def swallows() -> None:
    """What is cancelled at any step, and goes on to its end."""
    for _ in range(STEPS):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)


async def turns_it_into_another() -> None:
    try:
        await turns(STEPS)
    except asyncio.CancelledError:
        raise psycopg.OperationalError("sending cancelled") from None


async def waits_for() -> None:
    """As a library that uses asyncio.wait_for, which swallows a cancellation that comes as the result does."""
    for _ in range(STEPS):
        await asyncio.wait_for(asyncio.sleep(0), 1)


async def is_cut_off_inside() -> None:
    """A time-out of the run's own is a cancellation too: it must not end the loop."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.sleep(NEVER_S)
    await turns(STEPS)


@pytest.mark.parametrize("run", [honest, swallows, turns_it_into_another, waits_for, is_cut_off_inside])
@pytest.mark.parametrize("limit_s", [None, PATIENCE_S])
async def test_it_ends_wherever_it_is_cancelled(run: Run, limit_s: float | None) -> None:
    """By `close` and by anybody else, at each turn of the event loop: never another run begins."""
    for at in range(4 * STEPS):
        for closed in (True, False):
            runs = Runs(run)
            made = Loop("test", runs, 0, limit_s=limit_s)
            made.start()
            await turns(at)
            begun = runs.begun
            task = made._task
            assert task is not None
            async with asyncio.timeout(PATIENCE_S):
                if closed:
                    await made.close()
                else:
                    task.cancel()
                    await asyncio.wait([task])
            assert task.done()
            assert runs.begun == begun


async def test_a_time_out_within_a_run_does_not_end_the_loop() -> None:
    runs = Runs(is_cut_off_inside)
    async with started(Loop("test", runs, 0)):
        await until(lambda: runs.ended >= 3, "three runs")


async def test_what_goes_on_although_it_was_cancelled_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CANCEL_AGAIN_S", 0.02)
    times: list[int] = []

    async def listen() -> None:
        while True:
            try:
                await asyncio.sleep(NEVER_S)
            except asyncio.CancelledError:
                times.append(1)
                if len(times) == 3:
                    raise

    async with started(Loop("listening", listen, 0)):
        await turns()
    assert len(times) == 3
