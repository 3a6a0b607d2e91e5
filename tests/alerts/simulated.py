"""An objective second by second from what failed to its alerts: the fast test, the tiers, the machine. No database."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from server.alerts.alert import Alert
from server.alerts.machine import HOUR_S, Context, step
from server.live.deltas import Delta, SeriesKey
from server.slo.judge.judgement import ALL_ARRIVES, Observation, bounded_onset, evidence_of, objective_status, spans
from server.slo.judge.streams import Streams
from server.slo.ledger.windows import ByWindow
from server.slo.model.budget_policy import BudgetPolicy
from server.slo.model.counts import Counts
from server.slo.model.objective import Objective
from server.slo.model.status import Evidence

MINUTE_S = 60
SERIES = SeriesKey("checkout", "1", "/pay", "POST", 200)
OBJECTIVE = Objective("works", "checkout works", "checkout", "availability", Fraction(999, 1000), None, 28, id=1)


class Simulated:
    """`per_second` requests, of which all fail in the seconds of `outages`, each [from, to) in Unix seconds."""

    def __init__(self, start: int, per_second: int, outages: Iterable[tuple[int, int]]) -> None:
        self.start, self.now, self.per_second = start, start, per_second
        self.outages = list(outages)
        self.streams, self.policy = Streams(), BudgetPolicy()
        self.alert: Alert | None = None
        self.alerts: dict[int, Alert] = {}  # as they are now, by id
        self.began: list[tuple[int, int, float]] = []  # id, number and onset of each outage, as it was in the end

    def run(self, seconds: int) -> None:
        """So many seconds on."""
        for _ in range(seconds):
            self._second()

    def _second(self) -> None:
        bad = self.per_second if self._down(self.now) else 0
        self.streams.hear([Delta(1, SERIES, self.now, self.per_second, bad, 0, {}, [])])
        self.now += 1
        said = self._evidence()
        last = max((one for one in self.alerts.values()), key=lambda one: one.resolved_at or 0, default=None)
        recent = last if last and last.resolved_at and self.now - last.resolved_at <= HOUR_S else None
        alert, _ = step(self.alert, said, Context(self.policy, previous=recent), float(self.now))
        if alert is None:
            return
        alert.id = alert.id or len(self.alerts) + 1
        self.alerts[alert.id] = alert
        self.alert = None if alert.state == "resolved" else alert
        number = alert.beginning.number
        self.began = [one for one in self.began if one[:2] != (alert.id, number)]
        self.began.append((alert.id, number, alert.beginning.onset))

    def _down(self, second: int) -> bool:
        return any(start <= second < end for start, end in self.outages)

    def _evidence(self) -> Evidence:
        verdict = self.streams.verdicts([OBJECTIVE], self.now)[OBJECTIVE.id]
        counts = ByWindow({span: self._counts(span) for span in spans(OBJECTIVE.tiers)})
        counts[OBJECTIVE.window_key] = self._counts(OBJECTIVE.window_s)
        observed = Observation(OBJECTIVE, counts, ALL_ARRIVES, verdict)
        status = objective_status(observed, float(self.now))
        said = evidence_of(observed, status, None, self.policy.paging, float(self.now))
        if said.onset_method != "window" or said.onset is None:
            return said
        failed = [max(start, int(said.onset)) for start, end in self.outages if end > said.onset and start < self.now]
        return bounded_onset(said, observed, min(failed) // MINUTE_S * MINUTE_S if failed else None)

    def _counts(self, window_s: int) -> Counts:
        """A window that begins at a whole minute; before the simulation all was good for as long as it is."""
        first = (self.now - window_s) // MINUTE_S * MINUTE_S
        bad = sum(max(0, min(end, self.now) - max(start, first)) for start, end in self.outages)
        return Counts((self.now - first - bad) * self.per_second, bad * self.per_second)
