"""Which alerts an objective would have made of a past that its ledger has kept.

The rules are the live ones: the fast test, the burn tiers, what is due to be told
(server/slo), and the states of an alert (server/alerts/machine.py). What differs is
what a ledger knows: it has minutes, so an alert is detected at the end of one, up to a
minute later than live; and it does not know when a service was blind or partial, what was
silenced, and what other alerts explained.

The fast test is live by the second. A failure that lasts, as of two minutes, is heard as
the seconds of its minutes, each with its share; a burst is one block, as it would be live.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from server.alerts.alert import Alert
from server.alerts.machine import Context, step
from server.slo.judge.judgement import ALL_ARRIVES, ENOUGH, Observation, deciding, evidence_of, objective_status, spans
from server.slo.judge.streams import Verdict
from server.slo.ledger.history import share_of
from server.slo.ledger.windows import ByWindow
from server.slo.model.budget_policy import BudgetPolicy, severity
from server.slo.model.counts import Counts
from server.slo.model.memory import Memory
from server.slo.model.objective import Objective
from server.slo.model.sequential import Fast, null_ratio
from server.slo.model.status import Evidence
from server.slo.model.tiers import Tier, Urgency


class PastAlert(Struct):
    """Times are Unix seconds. `fired_at` None: it was shown, and nobody was told; `reset_at` None: it goes on.

    `bad`, `total` and `spent`, a share of the whole budget, are from the onset to the last moment at which it burned.
    """

    objective: str
    tier: str  # that fired it; else the last one
    urgency: Urgency  # the highest
    severity: int  # the worst
    onset: float
    detected_at: float
    fired_at: float | None
    reset_at: float | None
    times: int  # how often it fired
    bad: int
    total: int
    spent: float


@dataclass(slots=True)
class Replayed:
    """An alert as it is now, as it was when it fired first, and the minute at the end of which it burned last."""

    alert: Alert
    burned: int
    fired: Alert | None = None
    severity: int = 3  # the worst

    def take(self, alert: Alert) -> None:
        """What became of it in a minute. What is over and comes back soon is the same alert."""
        self.alert = alert
        self.severity = min(self.severity, alert.severity)
        if alert.fired_at is not None and self.fired is None:
            self.fired = alert

    def past_alert(self, line: Minutes, objective: Objective) -> PastAlert:
        """What the backtest says of it in the end."""
        alert, first = self.alert, self.fired or self.alert
        since = line.between(line.index(alert.onset), self.burned)
        whole = line.whole(objective, self.burned)
        return PastAlert(
            objective=alert.objective,
            tier=first.tier,
            urgency=alert.urgency,
            severity=self.severity,
            onset=alert.onset,
            detected_at=alert.detected_at,
            fired_at=first.fired_at,
            reset_at=alert.resolved_at,
            times=alert.fired_times,
            bad=since.bad,
            total=since.total,
            spent=share_of(since.bad, whole, objective.allowed),
        )


MINUTE_S = 60


class Columns(NamedTuple):
    """Minutes, or hours by their first, side by side; without what exclusions take out. Unix seconds."""

    starts: Sequence[int]
    good: Sequence[int]
    bad: Sequence[int]


@dataclass(frozen=True, slots=True)
class Minutes:
    """Minutes from `start`, Unix seconds. `total` and `bad` hold the sums of all before each minute, and of all."""

    start: int
    total: list[int]
    bad: list[int]

    def at(self, minute: int) -> int:
        """The Unix second at which a minute begins."""
        return self.start + minute * MINUTE_S

    def index(self, at: float) -> int:
        """The minute in which a time is, within what is kept."""
        return min(max(0, int(at - self.start) // MINUTE_S), len(self.total) - 1)

    def between(self, first: int, end: int) -> Counts:
        """The counts of the minutes [first, end)."""
        bad = self.bad[end] - self.bad[first]
        return Counts(self.total[end] - self.total[first] - bad, bad)

    def before(self, end: int, window_s: int) -> Counts:
        """The counts of the window that ends where minute `end` begins."""
        return self.between(max(0, end - window_s // MINUTE_S), end)

    def whole(self, objective: Objective, end: int) -> Counts:
        """The counts of an objective's own window that ends where minute `end` begins."""
        return self.between(min(self.index(objective.begins_before(self.at(end))), end), end)

    def change_point(self, end: int, window_s: int, ratio: float) -> int:
        """The minute of a window since which most was bad above `ratio`: where the sum of the excess is least."""
        first = max(0, end - window_s // MINUTE_S)
        excess = [b - ratio * t for b, t in zip(self.bad[first:end], self.total[first:end], strict=True)]
        least = min(excess)
        return first + max(index for index, value in enumerate(excess) if value == least)

    def burning(self, window_s: int, ratio: float) -> set[int]:
        """The ends of all windows in which at least this ratio was bad."""
        width = window_s // MINUTE_S
        bad, total = self.bad, self.total
        pairs = zip(bad[width:], bad, total[width:], total, strict=False)
        return {
            index
            for index, (bad_then, bad_before, then, before) in enumerate(pairs, width)
            if bad_then != bad_before and bad_then - bad_before >= ratio * (then - before)
        }


def minutes_of(start: int, end: int, kept: Iterable[Columns]) -> Minutes:
    """The minutes of [start, end), both whole minutes; what lies outside is left out."""
    count = (end - start) // MINUTE_S
    total, bad = [0] * (count + 1), [0] * (count + 1)
    for columns in kept:
        for at, good, failed in zip(*columns, strict=True):
            index = (at - start) // MINUTE_S
            if 0 <= index < count:
                total[index + 1] += good + failed
                bad[index + 1] += failed
    return Minutes(start, list(accumulate(total)), list(accumulate(bad)))


def backtest(objective: Objective, policy: BudgetPolicy, line: Minutes, start: int) -> list[PastAlert]:
    """The alerts that would have begun from `start`, Unix seconds, to the end of the line; the oldest first."""
    run, bad = Run(objective, policy, line), line.bad
    for minute in range(line.index(start), len(line.total) - 1):
        if bad[minute] == bad[minute + 1] and run.calm and minute + 1 not in run.any:
            run.fast.block_n = 0  # as live: what is good before the first failure dilutes nothing
        else:
            run.minute(minute)
    return [replayed.past_alert(line, objective) for replayed in run.found.values()]


def evenly(counts: Counts) -> Iterator[Counts]:
    """A minute's counts as those of its seconds, good and bad spread as evenly as whole numbers go."""
    total, bad = counts.total, counts.bad
    ends = [total * second // MINUTE_S for second in range(MINUTE_S + 1)]
    for start, end in pairwise(ends):
        failed = end * bad // total - start * bad // total if total else 0
        yield Counts(end - start - failed, failed)


@dataclass(frozen=True, slots=True)
class Holding:
    """What holds at the end of a minute; while it stays the same, an alert that fires stays the same."""

    tier: Tier | None
    fast: bool
    severity: int | None  # of a minute with enough traffic to tell


@dataclass(slots=True)
class Run:
    """One objective, minute after minute."""

    objective: Objective
    policy: BudgetPolicy
    line: Minutes
    fast: Fast = field(init=False)
    memory: Memory = field(default_factory=Memory)
    near: dict[Tier, set[int]] = field(init=False)  # the ends of the minutes at which a tier may hold
    any: set[int] = field(init=False)  # the same of all tiers
    calm: bool = True  # nothing goes on: a minute without failures changes nothing where no tier may hold
    holding: Holding | None = None
    open_: Alert | None = None
    last: Alert | None = None  # the one before
    found: dict[float, Replayed] = field(default_factory=dict)  # by when it was detected: one may come back

    def __post_init__(self) -> None:
        allowed = self.objective.allowed
        self.fast = Fast(float(allowed))
        # A little too many rather than too few: what is near is then judged exactly.
        self.near = {
            tier: self.line.burning(tier.short_s, float(tier.burn * allowed) * (1 - 1e-9))
            for tier in self.objective.tiers
        }
        self.any = set().union(*self.near.values())

    def minute(self, minute: int) -> None:
        """One minute, judged at its end."""
        counts = self.line.between(minute, minute + 1)
        was_on = self.fast.on
        if counts.bad:
            self.memory.failed(self.line.at(minute))
        if counts.bad or not self.fast.idle:
            self._hear(minute, counts)
        else:
            self.fast.block_n = 0
        self.memory.alarm(self.fast, was_on, self.line.at(minute + 1))
        tier = self._tier(minute + 1)
        if self.open_ is None and not self.fast.on and tier is None:
            self.calm = self.fast.idle
            return
        self.calm = False
        worst = severity(self.policy, Fraction(counts.bad, counts.total)) if counts.total >= ENOUGH else None
        holding = Holding(tier, self.fast.on, worst)
        if not self._goes_on(holding, minute + 1):
            self._step(minute + 1, tier)
        self.holding = holding

    def _hear(self, minute: int, counts: Counts) -> None:
        """Let the fast test hear a minute: second by second where it may alarm and the failure lasts, else at once."""
        at = self.line.at(minute)
        if self.fast.on or not self._lasts(minute, counts):
            self.fast.second(at, counts.total, counts.bad)
            return
        for second, part in enumerate(evenly(counts)):
            self.fast.second(at + second, part.total, part.bad)

    def _lasts(self, minute: int, counts: Counts) -> bool:
        """Whether what failed in a minute was no burst: half of it, or half as much the minute before or after."""
        if counts.bad <= null_ratio(self.objective.allowed) * counts.total:
            return False
        if 2 * counts.bad >= counts.total:
            return True
        last = len(self.line.total) - 1
        around = [self.line.between(max(0, minute - 1), minute), self.line.between(minute + 1, min(minute + 2, last))]
        return any(2 * each.bad * counts.total >= counts.bad * each.total > 0 for each in around)

    def _tier(self, end: int) -> Tier | None:
        """The most urgent tier that holds."""
        near = [tier for tier, ends in self.near.items() if end in ends]
        if not near:
            return None
        windows = {each for tier in near for each in (tier.long_s, tier.short_s)}
        counts = {window_s: self.line.before(end, window_s) for window_s in windows}
        return deciding(near, counts, self.objective.allowed, self._memory(end), self.line.at(end))

    def _memory(self, end: int) -> Memory:
        """What the watch would remember; minutes without failures were passed over, so it is counted here."""
        if self.memory.since is not None:
            after = self.line.between(self.line.index(self.memory.since), end)
            self.memory.bad, self.memory.total = after.bad, after.total
        return self.memory

    def _goes_on(self, holding: Holding, end: int) -> bool:
        """Whether an alert fires as a minute ago: then only the moment at which it burned last moves."""
        alert = self.open_
        if alert is None or alert.state != "firing" or holding != self.holding:
            return False
        if holding.severity is None or (holding.tier is None and not holding.fast):
            return False
        if alert.urgency == "ticket" and holding.fast:
            return False  # it may be due to page in any minute
        self.found[alert.detected_at].burned = end
        return True

    def _step(self, end: int, tier: Tier | None) -> None:
        now = float(self.line.at(end))
        said = self._said(end, tier, now)
        alert, _ = step(self.open_, said, Context(self.policy, previous=self.last), now)
        if alert is None:
            return
        kept = self.found.setdefault(alert.detected_at, Replayed(alert, end))
        kept.take(alert)
        if said.tier is not None and alert.state in ("pending", "firing"):
            kept.burned = end
        self.open_ = None if alert.state == "resolved" else alert
        self.last = alert if alert.state == "resolved" else self.last

    def _said(self, end: int, tier: Tier | None, now: float) -> Evidence:
        """The evidence as the watch makes it; the onset by the change point, where the watch knows only the window."""
        counts = ByWindow({window_s: self.line.before(end, window_s) for window_s in spans(self.objective.tiers)})
        counts[self.objective.window_key] = self.line.whole(self.objective, end)
        last = self.line.between(end - 1, end)
        onset = self.fast.onset if self.fast.on else None
        fast, minute = self.fast, (last.bad, last.total)
        memory = self._memory(end)
        recovery = memory.recovery(fast, now)
        verdict = Verdict(onset, fast.bad, fast.total, fast.suspicion, minute, memory, int(now), recovery)
        observed = Observation(self.objective, counts, ALL_ARRIVES, verdict)
        said = evidence_of(observed, objective_status(observed, now), None, self.policy.paging, now)
        if said.onset_method != "window" or tier is None:
            return said
        began = self.line.change_point(end, tier.long_s, float(tier.burn * self.objective.allowed))
        return replace(said, onset=float(self.line.at(began)), onset_method="change point")
