"""What the API answers about incidents: the same, with times as RFC 3339."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from server.alerts.alert import Alert, Outage
from server.alerts.answers import AlertAnswer, alert_answer
from server.http.shown import answered, shows
from server.incidents.acting import Acted
from server.incidents.incident import Incident, Share
from server.incidents.measures import times_of
from server.incidents.proof import Proof, Waits
from server.incidents.room import IncidentRoom
from server.incidents.runbook import Phase, StepAct
from server.incidents.similar import SimilarIncident
from server.incidents.steps import StandingStep
from server.incidents.store import ACTIONS, DEPLOYS, INCIDENTS, ROLES, TASKS
from server.incidents.timeline_store import Line, Origin
from server.incidents.verification import StepState
from server.kernel.times import Instant, utc
from server.signals.answers import SignalAnswer


class CapturedChangeAnswer(Struct):
    """A change of the hour before."""

    id: int
    at: Instant
    kind: str
    service: str
    summary: str


class CapturedAnswer(Struct):
    """What was seen when it began, never changed afterwards. `budget_left` is by objective, of 1. `scope` is bad of n
    by each value of each field (route, version, client, instance, dependency, method, key, status, error_class), of a
    sample where that is not counted; null until it is captured. `evenkeel`: how its own parts stood, in words."""

    at: Instant
    onset: Instant
    onset_method: str
    text: str
    routes: list[Share]
    versions: list[Share]
    revision: int
    redis: bool | None
    likely: str
    budget_left: dict[str, float | None]
    changes: list[CapturedChangeAnswer]
    scope: dict[str, list[Share]] | None
    evenkeel: dict[str, str]


@shows(INCIDENTS, but=("captured",))
class IncidentAnswer(Struct):
    """One incident. `onset` is as it is believed now. Durations in seconds from the onset, null where it is not so far:
    to its detection, to when a person declared it, to when the first mitigation took effect, to the end
    of the failure."""

    time_to_detect_s: float | None
    time_to_acknowledge_s: float | None
    time_to_mitigate_s: float | None
    time_to_recover_s: float | None


@shows(ROLES, but=("incident_id",))
class RoleAnswer(Struct):
    """Who holds a role; `until` null: still."""


@shows(TASKS, but=("incident_id",))
class TaskAnswer(Struct):
    """What one person looks into until a time."""


@shows(ACTIONS, but=("incident_id",))
class PreventiveActionAnswer(Struct):
    """What is to be done so that it does not happen again."""


@shows(DEPLOYS, but=("incident_id", "change_id"))
class DeployActAnswer(Struct):
    """A deploy that is paused, resumed or rolled back: `waiting` for what deploys, `by_hand` until somebody marks it
    done, done or failed. `command` is what a person types instead."""


class ProofAnswer(Struct):
    """What says that the failure is over, and what is waited for."""

    waits: Waits
    since: Instant | None
    bad: int
    total: int
    needed: int
    left_s: float
    text: str


class SimilarAnswer(Struct):
    """An incident of the past, what it shares with this one (`service`, `route`, `cause class`), and what ended it."""

    id: int
    title: str
    service: str
    severity: int
    onset: Instant
    over_at: Instant | None
    shares: list[str]
    cause_class: str
    root_cause: str
    ended_by: str


class IncidentDetail(Struct):
    """One incident with all that is in it; `brief` is what the next commander has to know."""

    incident: IncidentAnswer
    captured: CapturedAnswer
    alerts: list[AlertAnswer]
    signals: list[SignalAnswer]
    roles: list[RoleAnswer]
    tasks: list[TaskAnswer]
    actions: list[PreventiveActionAnswer]
    deploys: list[DeployActAnswer]
    proof: ProofAnswer
    brief: list[str]
    similar: list[SimilarAnswer]


class IncidentsAnswer(Struct):
    """`next` is the `before` of the next page; null on the last."""

    incidents: list[IncidentAnswer]
    next: int | None


class StepAnswer(Struct):
    """One step of the runbook as it stands. `acts` are those that can work now; `verify` is what live data has to say,
    '' where a person says that it is done. `due_at`: until when, while it is watched."""

    id: str
    phase: Phase
    text: str
    verify: str
    acts: list[StepAct]
    state: StepState
    reading: str
    waits_for: str
    decided_by: str
    decided_at: Instant | None
    reason: str
    owner: str
    held_since: Instant | None
    due_at: Instant | None
    next: bool


class StepsAnswer(Struct):
    """The steps of this incident in order. `problem`: what is wrong with the runbook's file; '' where nothing is."""

    steps: list[StepAnswer]
    problem: str


class LineAnswer(Struct):
    """One line of a timeline. `corrected` has what a note said before it was put right."""

    origin: Origin
    id: int
    at: Instant
    kind: str
    text: str
    author: str
    link: str
    service: str
    machine: bool
    corrected: list[str]


class TimelineAnswer(Struct):
    """Newest first."""

    lines: list[LineAnswer]


class ActedAnswer(Struct):
    """`already`: it had been done before, and nothing was changed."""

    incident: IncidentAnswer
    already: bool
    message: str


def incident_answer(one: Incident) -> IncidentAnswer:
    """One incident as the API tells it."""

    times = times_of(one)
    return answered(
        one,
        IncidentAnswer,
        time_to_detect_s=times.detect,
        time_to_acknowledge_s=times.acknowledge,
        time_to_mitigate_s=times.mitigate,
        time_to_recover_s=times.recover,
    )


def detail_answer(  # noqa: PLR0917 - the room, what is read beside it, and when
    room: IncidentRoom,
    alerts: Sequence[Alert],
    outages: dict[int, list[Outage]],
    signals: list[SignalAnswer],
    alike: Sequence[SimilarIncident],
    found: Proof,
    now: float,
) -> IncidentDetail:
    """An incident with all that is in it."""
    seen = room.incident.captured
    changes = [CapturedChangeAnswer(c.id, utc(c.at), c.kind, c.service, c.summary) for c in seen.changes]
    return IncidentDetail(
        incident_answer(room.incident),
        CapturedAnswer(
            utc(seen.at),
            utc(seen.onset),
            seen.onset_method,
            seen.text,
            seen.routes,
            seen.versions,
            seen.revision,
            seen.redis,
            seen.likely,
            seen.budget_left,
            changes,
            seen.scope,
            seen.evenkeel,
        ),
        [alert_answer(alert, outages[alert.id]) for alert in alerts],
        signals,
        [answered(one, RoleAnswer) for one in room.roles],
        [answered(one, TaskAnswer) for one in room.tasks],
        [answered(one, PreventiveActionAnswer) for one in room.actions],
        [answered(one, DeployActAnswer) for one in room.deploys],
        proof_answer(found),
        room.brief(now),
        [similar_answer(one) for one in alike],
    )


def similar_answer(one: SimilarIncident) -> SimilarAnswer:
    """One of the past."""
    past = one.past
    over = None if past.over_at is None else utc(past.over_at)
    return SimilarAnswer(
        past.id,
        past.title,
        past.service,
        past.severity,
        utc(past.onset),
        over,
        one.shares,
        past.cause_class,
        past.root_cause,
        past.ended_by,
    )


def proof_answer(found: Proof) -> ProofAnswer:
    """What says that it is over."""
    since = None if found.since is None else utc(found.since)
    return ProofAnswer(found.waits, since, found.bad, found.total, found.needed, found.left_s, found.text)


def step_answer(one: StandingStep) -> StepAnswer:
    """One step."""
    times = {name: at(getattr(one, name)) for name in ("held_since", "due_at", "decided_at")}
    return answered(one, StepAnswer, **times)


def at(moment: float | None) -> Instant | None:
    """A time of the answer."""
    return None if moment is None else utc(moment)


def line_answer(line: Line) -> LineAnswer:
    """One line of a timeline."""
    return LineAnswer(
        line.origin,
        line.id,
        utc(line.at),
        line.kind,
        line.text,
        line.author,
        line.link,
        line.service,
        line.machine,
        line.corrected,
    )


def acted_answer(done: Acted) -> ActedAnswer:
    """What came of an act."""
    return ActedAnswer(incident_answer(done.incident), done.already, done.message)
