"""The stages of a tick: in which order, and what becomes of the picture where one of them fails."""

from __future__ import annotations

import time
from typing import Any

import pytest

from server.live import tail_store
from server.picture.tick import Tick
from server.process.degraded import unwatched
from server.process.watch import Fenced
from server.slo.model.status import Status
from tests.config.machine import objective
from tests.gate.making import alert
from tests.live.rollups import lead
from tests.live.writing import Sample, Writer, unheard
from tests.picture.ticking import Flaky, no_alerts, objectives, service, store, stored, ticking
from tests.slo.judging import live_service


async def one_objective(services: Any, now: float, before: Status | None) -> Status:
    """It stands as it did, since it did."""
    return Status(1, now, [before.objectives[0] if before else objective("shop-works", "burning")], {"shop": "burning"})


async def one_alert(term: int, now: float) -> Any:
    return [alert()]


@pytest.mark.gen_test
async def test_each_stage_has_what_those_before_it_brought(database_url: str) -> None:
    seen: list[Any] = []

    async def evaluate(services: Any, now: float, before: Status | None) -> Status:
        seen.append(("evaluate", [(each.name, each.n) for each in services], before))
        return await one_objective(services, now, before)

    async def step(term: int, now: float) -> Any:
        seen.append(("step", term))
        return await one_alert(term, now)

    Writer(database_url).flush([Sample(int(time.time()))] * 5)
    async with ticking(database_url, evaluate, step) as (_, _, tick):
        await tick.run(1)
        first = stored(database_url)
        assert seen == [("evaluate", [("shop", 5)], None), ("step", 1)]
        assert first.slo == Status(1, first.at, [objective("shop-works", "burning")], {"shop": "burning"})
        assert (first.alerts, first.evaluated_at, first.alerted_at) == ([alert()], first.at, first.at)
        await tick.run(1)
        assert seen[2] == ("evaluate", [("shop", 5)], first.slo)


@pytest.mark.gen_test
@pytest.mark.parametrize("part", ["evaluate", "step"])
async def test_what_fails_stands_as_it_did_last_and_the_picture_says_since_when(database_url: str, part: str) -> None:
    parts = {"evaluate": Flaky(one_objective), "step": Flaky(one_alert)}
    async with ticking(database_url, **parts) as (db, bus, tick):
        await tick.run(1)
        good = stored(database_url)
        assert (good.evaluated_at, good.alerted_at, good.behind_s) == (good.at, good.at, 0.0)
        parts[part].error = RuntimeError("a row that nobody can read")
        Writer(database_url).flush([Sample(int(time.time()))])
        await tick.run(1)
        bad = stored(database_url)
        assert service(bad).n == 1, "the rest goes on"
        assert (bad.slo if part == "evaluate" else bad.alerts) == (good.slo if part == "evaluate" else good.alerts)
        assert (bad.evaluated_at, bad.alerted_at) == ((good.at, bad.at) if part == "evaluate" else (bad.at, good.at))
        assert bad.behind_s == bad.at - good.at > 0
        lead(database_url, 2)  # the watch that takes over fails at it too, and does not begin to count anew
        again = Tick(db, bus, tick.process, unheard, parts["evaluate"], parts["step"])
        await again.run(2)
        taken = stored(database_url)
        assert taken.behind_s > bad.behind_s
        assert (taken.alerts, taken.slo and taken.slo.objectives) == (good.alerts, good.slo and good.slo.objectives)
        (shown,) = unwatched(taken, 3.0, follows=False)
        assert shown.mode.look == "burning"
        assert shown.says.startswith("Alerts have not been evaluated for ")
        assert list(unwatched(good, 3.0, follows=False)) == []
        parts[part].error = None
        await again.run(2)
        assert stored(database_url).behind_s == 0.0


@pytest.mark.gen_test
async def test_fenced_while_it_keeps_alerts_it_publishes_nothing(database_url: str) -> None:
    step = Flaky(no_alerts)
    async with ticking(database_url, objectives, step) as (_, _, tick):
        await tick.run(1)
        seq, step.error = stored(database_url).seq, Fenced("another watch leads")
        with pytest.raises(Fenced):
            await tick.run(1)
        assert stored(database_url).seq == seq


@pytest.mark.gen_test
async def test_without_windows_there_is_no_picture_and_what_was_half_read_counts_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[float] = []

    async def evaluate(services: Any, now: float, before: Status | None) -> Status:
        calls.append(now)
        return await objectives(services, now, before)

    late = Flaky(tail_store.late)
    monkeypatch.setattr(tail_store, "late", late)  # it is read when the windows have the deltas
    async with ticking(database_url, evaluate) as (_, _, tick):
        await tick.run(1)
        seq, late.error = stored(database_url).seq, ConnectionError("gone")
        Writer(database_url).flush([Sample(int(time.time()))] * 3)
        with pytest.raises(ConnectionError):
            await tick.run(1)
        assert (stored(database_url).seq, len(calls)) == (seq, 1)
        late.error = None
        await tick.run(1)
        assert service(stored(database_url)).n == 3


@pytest.mark.gen_test
async def test_a_watch_that_takes_over_knows_who_fell_silent_before_what_is_kept(database_url: str) -> None:
    now = int(time.time())
    async with ticking(database_url) as (db, bus, tick):
        await tick.run(1)
        last = stored(database_url)
        last.services = [live_service("shop", silent_s=2000, last_sent=now - 2000, usual_per_second=3.0)]
        store(database_url, last)
        lead(database_url, 2)
        await Tick(db, bus, tick.process, unheard, objectives, no_alerts).run(2)
        found = service(stored(database_url))
    assert found.silent_s is not None
    assert found.silent_s >= 2000
    assert found.usual_per_second == 3.0
