"""The report of one service over one calendar month, UTC: its parts, and how they are made from what is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec import Struct, field
from msgspec.structs import asdict

from server.changes.before import just_before
from server.kernel.times import Instant
from server.slo.ledger.history import Stretch
from server.slo.ledger.months import spent
from server.slo.model.budget import budget_left
from server.slo.model.objective import Objective
from server.slo.model.status import OnsetMethod

if TYPE_CHECKING:
    from server.changes.store import Change
    from server.slo.ledger.spans import Split

WORST = 10


class ObjectiveMonth(Struct):
    """One objective. Ratios and shares from 0 to 1; null: nothing was counted.

    `month_budget_spent` is of what the month's own traffic allowed. `rolling_budget_left`
    is of the objective's own window, which ends where the report ends: null also where
    it reaches back further than is kept. `excluded` are outcomes that the objective does
    not count, with exclusions or without; `left_out_…` what exclusions take out.
    """

    name: str
    title: str
    text: str
    target: float
    window_days: int
    provisional: bool
    total: int
    bad: int
    excluded: int
    left_out_total: int
    left_out_bad: int
    bad_ratio: float | None
    month_budget_spent: float | None
    month_budget_spent_without_exclusions: float | None
    rolling_budget_left: float | None
    rolling_budget_left_without_exclusions: float | None
    exact_since: Instant
    recounting: bool  # it is being counted anew: these numbers still change

    def exact(self, start: Instant) -> bool:
        """Whether all of a span that begins at `start` was counted."""
        return self.exact_since <= start


class WorstStretch(Struct):
    """Failures that came one after the other; `share` is of the month's budget of the objective."""

    objective: str
    start: Instant
    end: Instant
    bad: int
    total: int
    share: float
    changed_before: str  # the last change within half an hour before; empty: none recorded
    changed_at: Instant | None


class AlertMonth(Struct):
    """An outage of an alert that was detected in the month. Seconds: from the onset to its detection, from the
    notification to the acknowledgement, from the onset to the end of the failure. An `onset_method` of `window` is no
    estimate of the first failure: then the first is null, and the last from the detection."""

    id: int
    outage: int  # 1, or more where the alert came back
    objective: str
    severity: int
    urgency: Literal["page", "ticket"]
    state: str
    onset: Instant
    onset_method: OnsetMethod
    detected_at: Instant
    acknowledged_at: Instant | None
    acknowledged_by: str
    resolved_at: Instant | None
    time_to_detect_s: float | None
    time_to_acknowledge_s: float | None
    time_to_resolve_s: float | None


class ExclusionMonth(Struct):
    """What somebody took out of the budgets of the service, where it is in the month. Empty: any."""

    id: int
    start: Instant
    stop: Instant
    route: str
    version: str
    method: str
    reason: str
    author: str
    created_at: Instant
    revoked_at: Instant | None
    revoked_by: str

    @property
    def what(self) -> str:
        """`/pay, version 5f2c1a9, POST`, or `everything`."""
        version = f"version {self.version}" if self.version else ""
        return ", ".join(filter(None, (self.route, version, self.method))) or "everything"


class MonthlyReport(Struct):
    """One service, one month. `complete` false: the month is not over; then `to` is when the report was made."""

    service: str
    month: str
    start: Instant = field(name="from")
    stop: Instant = field(name="to")
    complete: bool
    made_at: Instant
    policy_revision: int  # in force at the end: its targets are those of the report
    objectives: list[ObjectiveMonth]
    worst: list[WorstStretch]
    alerts: list[AlertMonth]
    changes: dict[str, int]  # by kind: deploy, revision, scale, flag, environment
    exclusions: list[ExclusionMonth]


class MonthLedger(NamedTuple):
    """What is known of one objective's ledger."""

    exact_since: Instant
    recounting: bool


def objective_month(objective: Objective, month: Split, rolling: Split | None, ledger: MonthLedger) -> ObjectiveMonth:
    """One objective; `rolling` None: its window reaches back further than is kept."""
    allowed, kept = objective.allowed, month.counts
    return ObjectiveMonth(
        name=objective.name,
        title=objective.title,
        text=objective.text,
        target=float(objective.target),
        window_days=objective.window_days,
        provisional=objective.provisional,
        total=kept.total,
        bad=kept.bad,
        excluded=month.counted.excluded,
        left_out_total=month.left_out.total,
        left_out_bad=month.left_out.bad,
        bad_ratio=kept.bad / kept.total if kept.total else None,
        month_budget_spent=spent(kept, allowed),
        month_budget_spent_without_exclusions=spent(month.counted, allowed),
        rolling_budget_left=budget_left(rolling.counts, allowed) if rolling else None,
        rolling_budget_left_without_exclusions=budget_left(rolling.counted, allowed) if rolling else None,
        exact_since=ledger.exact_since,
        recounting=ledger.recounting,
    )


def worst(found: Iterable[tuple[Objective, Sequence[Stretch]]], changes: Sequence[Change]) -> list[WorstStretch]:
    """The ten stretches that spent most, over all objectives, with the change just before each."""
    stretched = [worst_stretch(objective.name, one, changes) for objective, stretches in found for one in stretches]
    return sorted(stretched, key=lambda one: (-one.share, one.start, one.objective))[:WORST]


def worst_stretch(objective: str, one: Stretch, changes: Sequence[Change]) -> WorstStretch:
    before = just_before(changes, one.start.timestamp())
    return WorstStretch(
        objective=objective,
        **asdict(one),
        changed_before=words(before) if before else "",
        changed_at=before.at if before else None,
    )


def words(change: Change) -> str:
    """`deploy 5f2c1a9`, or the summary where there is no version."""
    return f"{change.kind} {change.version or change.summary}"


def middle(values: Iterable[float | None]) -> float | None:
    """The median of those that are known; None: none is."""
    known = [value for value in values if value is not None]
    return median(known) if known else None
