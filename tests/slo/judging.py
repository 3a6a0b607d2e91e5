"""Objectives and deltas for tests of the rules, and the real evaluator at accelerated time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

from server.live.deltas import Delta, SeriesKey
from server.live.service import LiveService
from server.slo.judge.judgement import ALL_ARRIVES, Observation, evidence_of, objective_status, spans
from server.slo.judge.streams import Stream
from server.slo.ledger.windows import ByWindow
from server.slo.model.budget_policy import PagingPolicy
from server.slo.model.counts import NOTHING, Counts
from server.slo.model.objective import Objective
from server.slo.model.status import Evidence


def objective(target: str = "0.999", **given: Any) -> Objective:
    """An availability objective of `shop` over 28 days."""
    usual: dict[str, Any] = {
        "name": "shop-works",
        "title": "Shop works",
        "service": "shop",
        "kind": "availability",
        "target": Fraction(target),
        "threshold_us": None,
        "window_days": 28,
        "id": 1,
    }
    return Objective(**(usual | given))


START = 1_790_000_000


def delta(second: int, n: int, bad: int, **given: Any) -> Delta:
    key = SeriesKey("shop", "v1", "/pay", "GET", 200)
    usual: dict[str, Any] = {"duration_us": 0, "fast": {}, "sketch": []}
    return Delta(1, key, second, n, bad, **(usual | given))


def live_service(name: str, **given: Any) -> LiveService:
    """A service as the picture has it."""
    usual: dict[str, Any] = {
        "name": name,
        "n": 0,
        "bad": 0,
        "n_5m": 0,
        "bad_5m": 0,
        "p50_ms": None,
        "p95_ms": None,
        "p99_ms": None,
        "points": [],
        "routes": [],
        "versions": [],
        "worst_route": None,
        "worst_version": None,
        "last_seen": None,
        "usual_per_second": None,
        "silent_s": None,
    }
    return LiveService(**(usual | given))


MINUTE_S = 60
MIDNIGHT = 1_790_000_000 // 86_400 * 86_400


class Sums:
    """The windows as the ledger has them: whole minutes, the newest in progress; rolling sums."""

    def __init__(self, spans: tuple[int, ...]) -> None:
        self.minutes: deque[Counts] = deque([NOTHING], maxlen=max(spans) // MINUTE_S + 2)
        self.sums = dict.fromkeys(spans, NOTHING)

    def add(self, n: int, bad: int) -> None:
        more = Counts(n - bad, bad)
        self.minutes[-1] = self.minutes[-1].plus(more)
        for span in self.sums:
            self.sums[span] = self.sums[span].plus(more)

    def next_minute(self) -> None:
        self.minutes.append(NOTHING)
        for span in self.sums:
            left = span // MINUTE_S + 2
            if len(self.minutes) >= left:
                gone = self.minutes[-left]
                had = self.sums[span]
                self.sums[span] = Counts(had.good - gone.good, had.bad - gone.bad)


def judgements(held: Objective, traffic: Iterable[tuple[int, int]]) -> Iterator[tuple[int, Evidence]]:
    """(second, evidence); `traffic` is (n, bad) of each second.

    The fast test is asked every second; all is judged every second while it is on, and else at the end of a minute
    and just after it.
    """
    sums = Sums((*spans(held.tiers), held.window_s))
    stream, was_on = Stream(float(held.allowed)), False
    for number, (n, bad) in enumerate(traffic):
        second = MIDNIGHT + number
        if number and number % MINUTE_S == 0:
            sums.next_minute()
        if n:
            stream.add(second, n, bad)
            sums.add(n, bad)
        verdict = stream.verdict(second + 1)
        if verdict.onset is None and not was_on and number % MINUTE_S != MINUTE_S - 1:
            continue
        was_on = verdict.onset is not None
        observed = Observation(held, ByWindow(sums.sums), ALL_ARRIVES, verdict)
        yield number, evidence_of(observed, objective_status(observed, second), None, PagingPolicy(), second)


def alarms(held: Objective, traffic: Iterable[tuple[int, int]]) -> Iterator[tuple[int, str, bool]]:
    """(second, tier, due) whenever something begins to burn, or to be due."""
    last: tuple[str | None, bool] = (None, False)
    for number, evidence in judgements(held, traffic):
        now = (evidence.tier, evidence.due)
        if evidence.tier is not None and now != last:
            yield number, evidence.tier, evidence.due
        last = now
