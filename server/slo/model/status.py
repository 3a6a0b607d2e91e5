"""What an evaluation says of each objective: its status, for the picture and the API, and the evidence, for alerts."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from msgspec import Struct, field

from server.kernel.names import is_drill
from server.slo.model.budget import exactly_left
from server.slo.model.comparison import Finding
from server.slo.model.counts import Counts
from server.slo.model.memory import Memory, Recovery
from server.slo.model.tiers import Urgency

# The words of UI.md's table; shape and colour belong to the pages.
State = Literal["ok", "at_risk", "burning", "blind", "partial", "no_traffic", "no_objective"]

# Worst first. A known burn outranks what is not known; what is not known outranks every better state.
SEVERITY: tuple[State, ...] = ("burning", "blind", "partial", "at_risk", "ok", "no_traffic", "no_objective")

# A tier whose windows both burn at its rate: it holds, or it does not because what burnt is over since the alarm
# ended, because there are too few failures to be sure, or because they may all be one client's.
TierState = Literal["holds", "over", "unsure", "one_client"]


class BurnWindow(Struct):
    """What one of the windows that decide has counted; `burn` None: no traffic."""

    window_s: int
    bad: int
    total: int
    burn: float | None


class ObjectiveStatus(Struct):
    """One objective now. Ratios from 0 to 1; a budget of 1 is untouched, below 0 is overspent."""

    name: str
    service: str
    kind: Literal["availability", "latency"]
    target: float  # 0.999
    threshold_ms: float | None
    window_days: int
    state: State
    good: int  # over the window
    bad: int
    excluded: int
    budget_left: float | None  # None: no traffic in the window
    budget_worst: float | None  # while blind or partial, the range [worst, best]
    budget_best: float | None
    burn_5m: float | None  # burn rate over the last 5 minutes; None: no traffic
    burn_1h: float | None
    exhausted_in_s: float | None  # at the present rate: while it burns of the last minute, else of the last hour
    since: float | None  # when this state began, Unix seconds
    windows: list[BurnWindow] = field(default_factory=list)  # shortest first
    decided_by: list[int] = field(default_factory=list)  # the windows whose burn rates hold, long first; else empty
    judged: bool = True  # False: too little traffic to judge the budget
    tier: str | None = None  # what holds: a burn tier such as 1h/5m, or fast
    onset: float | None = None  # the first bad second of what burns, estimated, Unix seconds
    suspicion: float = 0.0  # how near the fast test is to its alarm, 0 to 1
    provisional: bool = False  # the default of a service that nobody configured
    left_out_good: int = 0  # over the window: what exclusions take out, which is in none of the counts above
    left_out_bad: int = 0
    budget_left_counted: float | None = None  # as counted, with nothing excluded
    tiers: dict[str, TierState] = field(default_factory=dict)  # by name, those whose windows both burn at their rate
    recounting: bool = False  # the whole ledger is being counted anew: nothing above is known of its budget
    period: tuple[int, int] | None = (
        None  # of a calendar window: when it began and when the next one does, Unix seconds
    )
    minute: BurnWindow | None = None  # the last one, by the second; None: a watch that does not say
    unseen: int | None = None  # outcomes that the range is over; None: a watch that does not say

    @property
    def drill(self) -> bool:
        """Whether it holds a drill."""
        return is_drill(self.service)

    @property
    def any_counted(self) -> bool:
        """Whether anything is counted over its window, also what is in no ratio."""
        return bool(self.good or self.bad or self.excluded or self.left_out_good or self.left_out_bad)

    @property
    def began(self) -> int | None:
        """When this period of its calendar began; None: its window rolls."""
        return self.period[0] if self.period else None

    @property
    def resets_at(self) -> int | None:
        """When the next period begins, with a budget of its own; None: its window rolls."""
        return self.period[1] if self.period else None

    @property
    def allowed(self) -> Fraction:
        """The share that may be bad, exactly: the target is a decimal of the file."""
        return 1 - Fraction(str(self.target))

    @property
    def exactly_left(self) -> Fraction | None:
        """The budget left, to be compared with thresholds; None where `budget_left` is."""
        return None if self.budget_left is None else exactly_left(Counts(self.good, self.bad), self.allowed)

    @property
    def exactly_left_at_best(self) -> Fraction | None:
        """The best end of its range; None where it has none."""
        if self.budget_best is None:
            return None
        if self.unseen is None:
            return Fraction(str(self.budget_best))
        return exactly_left(Counts(self.good + self.unseen, self.bad), self.allowed)


class VersionVerdict(Struct):
    """The newest version of a service against the one before, on the routes that both served; see comparison.py.

    `beside`: both run, and the same minutes are compared; else since it was first seen
    with the hour before. `serves`: it still counts.
    """

    service: str
    version: str
    first_seen: float  # Unix seconds
    other: str  # '' where that one sent no version
    beside: bool
    serves: bool
    finding: Finding
    bad: int
    n: int
    other_bad: int
    other_n: int
    ratio: float | None  # how many times as often it fails on the same route; None: the other never fails there
    p: float  # the chance of a difference as large where there is none

    @property
    def worse(self) -> bool:
        """Whether a version that serves surely fails more."""
        return self.serves and self.finding == "worse"

    @property
    def text(self) -> str:
        """12 of 458 fail since v2, 1 of 1,830 before."""
        theirs = f"{self.other_bad:,} of {self.other_n:,}"
        if self.beside:
            return f"{self.bad:,} of {self.n:,} of {self.version} fail, {theirs} of {self.other or 'others'} beside it"
        return f"{self.bad:,} of {self.n:,} fail since {self.version}, {theirs} before"


class Status(Struct):
    """Every objective, and the state of every service (the worst of its objectives)."""

    policy_revision: int
    evaluated_at: float
    objectives: list[ObjectiveStatus]
    services: dict[str, State]
    memories: dict[str, Memory] = field(default_factory=dict)  # by objective, for the next watch
    versions: dict[str, VersionVerdict] = field(default_factory=dict)  # by service, where it has a new version


# How the onset was found: the change point of the fast test, or the beginning of the tier's long window.
OnsetMethod = Literal["change point", "window"]


class Slowness(Struct):
    """How slow a service is. p95 of the last minute and from before the onset, ms; None: not known. `route` is the one
    that has most requests of those whose p95 is over the threshold, empty where none is."""

    p95_ms: float | None
    before_ms: float | None
    route: str


class Evidence(Struct):
    """One objective now. Times are Unix seconds, ratios and shares are of 1.

    `tier` is what holds, the most urgent first: a burn tier that pages such as `1h/5m`,
    `fast` (the test of server/slo/model/sequential.py), or a burn tier that makes a ticket;
    None: nothing burns.
    """

    objective: str
    service: str
    kind: Literal["availability", "latency"]
    target: float
    threshold_ms: float | None
    at: float
    known: bool  # False while blind or partial: then nothing is over
    tier: str | None
    urgency: Urgency | None  # of that tier
    due: bool  # whether it is enough to tell somebody: by the lower bound, the budget spent or the size
    onset: float | None
    onset_method: OnsetMethod | None
    bad: int  # since the onset
    total: int
    bad_ratio: float | None  # of the last minute with traffic while it burns: the impact
    spent: float  # of the whole budget, since the onset; as far back as is known by the second, else of the tier
    budget_left: float | None
    likely: str = ""  # version 5f2c1a9
    provisional: bool = False  # the objective is the default of a service nobody configured
    impact_bad: int = 0  # what `bad_ratio` is the ratio of
    impact_total: int = 0
    recovery: Recovery | None = None  # what says that the failure has ended, where that is likely
    slowness: Slowness | None = None  # of a latency objective that burns
    spent_before: float = 0.0  # by outages of the same alert before this one; `spent` of a kept alert has it in it

    @property
    def impact(self) -> Fraction:
        """`bad_ratio`, exactly; 0 where there is none. Evidence of an earlier version has no counts of it."""
        if self.impact_total:
            return Fraction(self.impact_bad, self.impact_total)
        return Fraction(str(self.bad_ratio or 0))


def worst(states: set[State]) -> State:
    """The state that comes first in SEVERITY; of none, `no_objective`."""
    return next((state for state in SEVERITY if state in states), "no_objective")


def by_name(status: Status | None) -> dict[str, ObjectiveStatus]:
    """The status of each objective; empty before the first evaluation."""
    return {each.name: each for each in status.objectives} if status else {}
