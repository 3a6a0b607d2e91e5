"""An incident as it is kept: how it stands, what was captured when it began, its alerts, roles, tasks and entries.

The severities are the runbook's: 1 is a complete outage or a critical risk to data, 2 a major degradation of key
workflows, 3 a partial one with a workaround. Times are Unix seconds.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from server.changes.target import DeployActName
from server.kernel.names import OWN

# suspected: nobody has looked at it; monitoring: what failed seems over, shown as Recovering.
IncidentState = Literal["suspected", "declared", "investigating", "mitigating", "monitoring", "resolved", "closed"]
Source = Literal["alert", "person", "signal"]
# change point: the fast test saw where it began; window: only that it did within one; person: somebody says so;
# signal: another system does.
IncidentOnset = Literal["change point", "window", "person", "signal"]
DeployActState = Literal["waiting", "by_hand", "done", "failed"]
RoleName = Literal["commander", "deputy", "communications", "scribe"]
CauseClass = Literal["deploy", "config", "dependency", "capacity", "data", "external", "unknown"]


class Share(Struct):
    """One value of a service's requests when the incident was captured, such as a route: bad of n."""

    name: str
    bad: int
    n: int


class CapturedChange(Struct):
    """A change of the hour before."""

    id: int
    at: float
    kind: str
    service: str
    summary: str


class Captured(Struct):
    """What was seen when it began; anew, but for what was left then, where its alerts come to know better since when it
    fails, and never changed otherwise. `budget_left` is by objective, as a share of 1; None: not known. `redis` None:
    not configured. `scope` is by field, most failures first; None: not captured yet, or it is about no service.
    `evenkeel` is how our own parts stood, in words."""

    at: float
    onset: float
    onset_method: IncidentOnset
    text: str  # 4.1 % of requests fail (objective 0.1 %)
    routes: list[Share] = []
    versions: list[Share] = []
    revision: int = 0
    redis: bool | None = None
    likely: str = ""
    budget_left: dict[str, float | None] = field(default_factory=dict)
    changes: list[CapturedChange] = []
    scope: dict[str, list[Share]] | None = None
    evenkeel: dict[str, str] = field(default_factory=dict)


class Incident(Struct):
    """How one incident stands. `over_at` is when the failure seems to have ended, `resolved_at` when a person said that
    it has."""

    id: int
    state: IncidentState
    severity: int
    title: str
    service: str
    source: Source
    onset: float
    onset_method: IncidentOnset
    detected_at: float
    captured: Captured
    declared_at: float | None = None
    mitigated_at: float | None = None
    over_at: float | None = None
    resolved_at: float | None = None
    closed_at: float | None = None
    update_due_at: float | None = None
    declined: str = ""
    merged_into: int | None = None
    drill: bool = False
    root_cause: str = ""
    cause_class: CauseClass = "unknown"
    went_well: str = ""

    @property
    def open(self) -> bool:
        """Whether somebody has to look at it."""
        return self.state not in ("resolved", "closed")

    @property
    def heading(self) -> str:
        """`SEV-2 checkout failing`, with DRILL before it where it is one."""
        return f"{'DRILL ' if self.drill else ''}SEV-{self.severity} {self.title}"

    @property
    def measured(self) -> bool:
        """Whether it counts in the measures: what was declined, merged or a drill does not."""
        return not (self.declined or self.merged_into or self.drill)


class Membership(Struct):
    """An outage of an alert in an incident."""

    alert_id: int
    outage: int
    incident_id: int
    joined_at: float = 0.0


class Role(Struct):
    """Who holds a role, from when until when; None: still."""

    id: int
    incident_id: int
    role: RoleName
    person: str
    since: float
    until: float | None = None


class Task(Struct):
    """What one person looks into until a time."""

    id: int
    incident_id: int
    text: str
    owner: str
    due_at: float
    created_at: float
    created_by: str
    done_at: float | None = None
    done_by: str = ""
    result: str = ""


class DeployAct(Struct):
    """A deploy that is paused, resumed or rolled back in an incident; `waiting` for an adapter, `by_hand` for a person.

    `change_id` is the change that rolls back; `command` what a person types instead; `receipt` is what the adapter
    answered, `error` why it did not yet.
    """

    id: int
    incident_id: int
    act: DeployActName
    service: str
    version: str
    rolls_back: str
    state: DeployActState
    asked_by: str
    asked_at: float
    ended_at: float | None = None
    change_id: int | None = None
    command: str = ""
    receipt: str = ""
    error: str = ""


class PreventiveAction(Struct):
    """What is to be done so that it does not happen again; priority 0 to 3, 0 the most urgent."""

    id: int
    incident_id: int
    title: str
    owner: str
    priority: int
    due_at: float
    created_at: float
    created_by: str
    link: str = ""
    done_at: float | None = None
    done_by: str = ""


class TimelineEntry(Struct):
    """One line that is kept of the timeline. `corrects`: the entry that it stands for, which is kept too."""

    id: int
    incident_id: int
    at: float
    kind: str
    text: str
    author: str = OWN
    link: str = ""
    corrects: int | None = None
    key: str | None = None
