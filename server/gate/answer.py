"""What the gate is asked, what it knows, and what it answers, in fields and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from msgspec import Struct

from server.alerts.alert import Alert
from server.kernel.times import Instant
from server.slo.model.budget_policy import Answer, BudgetState, ChangeKind, Reason
from server.slo.model.status import ObjectiveStatus

# What the policy may except; incident: it is needed for one that somebody works on.
AskedReason = Literal[Reason, "incident"]

RuleName = Literal[
    "going_back",
    "rolled_back_version",
    "paused",
    "picture",
    "alert",
    "no_objective",
    "no_traffic",
    "budget",
    "budget_not_known",
    "open_incident",
    "exception",
    "override",
]

WORDS: dict[Answer, str] = {"allow": "Allowed", "deny": "Denied", "unknown": "Not known"}
NOUNS = {"deploy": "deploys", "revision": "revisions", "scale": "scaling", "flag": "flags"}


class Override(Struct):
    """A deny that somebody lifts for one service and kind of change, until it expires or is revoked."""

    id: int
    service: str
    kind: ChangeKind
    reason: str
    author: str
    created_at: Instant
    expires_at: Instant
    revoked_at: Instant | None = None
    revoked_by: str = ""


class RolledBack(Struct):
    """Who took a version out of production, when, and in which incident; null: in none."""

    by: str
    at: Instant
    incident: int | None = None


class Postmortem(Struct):
    """An alert that used so much of the budget that its postmortem needs a P0 action."""

    alert: int
    objective: str
    at: Instant  # detected
    spent: float  # of the whole budget
    text: str = ""


class SpentHour(Struct, frozen=True):
    """The failures that one objective has counted in one hour that had some. `at` is the hour's beginning."""

    at: int
    bad: int


@dataclass(frozen=True, slots=True)
class Question:
    """What the gate is asked: may this change of a service go out now?"""

    service: str
    kind: ChangeKind
    version: str = ""
    reason: AskedReason = "normal"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the service when the question is asked. Times are Unix seconds."""

    age_s: float | None  # of the last evaluation; None: there was none
    objectives: Sequence[ObjectiveStatus] = ()
    alerts: Sequence[Alert] = ()  # open ones
    overrides: Sequence[Override] = ()  # neither expired nor revoked when they were read
    rolled_back: RolledBack | None = None  # the version asked about was
    paused_by: str = ""  # who has paused its deploys, in an incident that is not closed
    going_back: bool = False  # the version asked about is older than the one that runs now
    spending: Mapping[str, Sequence[SpentHour]] = field(default_factory=dict)  # by objective, the oldest first
    uncounted: bool = False  # it has, or is just getting, an objective that is not evaluated yet
    postmortems: Sequence[Postmortem] = ()  # candidates: every alert of the window that spent anything


class Applied(Struct):
    """One rule that applied, and what it says. The last one of an answer decides."""

    rule: RuleName
    answer: Answer
    text: str


class GateBudget(Struct):
    """The numbers of the objective that decides. Shares are of 1."""

    objective: str
    provisional: bool
    left: float | None  # None: no traffic, or not known
    worst: float | None  # the range while it is not known exactly
    best: float | None
    caution_below: float
    frozen_below: float
    burn_1h: float | None
    window_days: int


class GateAnswer(Struct):
    """Whether the change may go out. `reason` is one sentence; `rules` are those that applied, in order."""

    service: str
    kind: ChangeKind
    version: str
    answer: Answer
    state: BudgetState | None  # None: not known, or there is no budget
    reason: str
    budget: GateBudget | None  # None: no objective
    rules: list[Applied]
    changes_at: Instant | None  # when the answer would be another one; None: not known
    changes_when: str  # by what
    postmortem: list[Postmortem]  # alerts that ask for one
    overrides: list[Override]  # in force for this service and kind, the one that ends last first


def cautious(answer: Answer, state: BudgetState | None) -> bool:
    """Whether it is allowed although the budget is low."""
    return answer == "allow" and state in ("caution", "frozen")


def verdict(answer: Answer, state: BudgetState | None) -> str:
    """`Allowed`, or `Allowed, with caution`."""
    return WORDS[answer] + (", with caution" if cautious(answer, state) else "")
