"""How the steps of an incident stand: which of the runbook's are its, what live data has said, what comes next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from server.alerts.alert import Alert
from server.changes.target import DeployFacts
from server.config.registry import SETTINGS
from server.incidents.incident import Incident
from server.incidents.room import IncidentRoom
from server.incidents.runbook import Phase, Runbook, Step, StepAct
from server.incidents.verification import OVER, KeptStep, StepState

if TYPE_CHECKING:
    from server.parts import Parts

EVERY_KEY = 0  # no key has this number: the limits for all


class StandingStep(Struct):
    """One step as it stands. `acts` are those that can work here. `due_at`, Unix seconds: until when live data has to
    confirm it; None where it is not watched. `waits_for`: what it is watched from on. `next`: what to do now."""

    id: str
    phase: Phase
    text: str
    verify: str
    acts: list[StepAct]
    state: StepState
    reading: str = ""
    decided_by: str = ""
    reason: str = ""
    owner: str = ""
    held_since: float | None = None
    due_at: float | None = None
    decided_at: float | None = None
    waits_for: str = ""
    next: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self.state in OVER

    @property
    def watched(self) -> bool:
        """Whether live data decides it just now."""
        return self.due_at is not None


BEGINS: dict[Phase, str] = {
    "triage": "it is detected",
    "stabilise": "it is declared",
    "diagnose": "it is declared",
    "recover": "it is recovering",
    "post_incident": "it is resolved",
}


def begun(phase: Phase, incident: Incident) -> float | None:
    """Since when the steps of a phase are watched, Unix seconds; None: not yet."""
    if phase == "triage":
        return incident.detected_at
    if phase in ("stabilise", "diagnose"):
        return incident.declared_at
    if phase == "recover":
        return incident.over_at if incident.state in ("monitoring", "resolved", "closed") else None
    return incident.resolved_at


def steps_of(runbook: Runbook, room: IncidentRoom, alerts: Iterable[Alert]) -> list[Step]:
    """The steps of the runbook that are for this incident."""
    alerts = list(alerts)
    services = {alert.service for alert in alerts} | {room.incident.service}
    kinds = {alert.evidence.kind for alert in alerts}
    return runbook.for_incident(room.incident.severity, kinds, services - {""})


def kept_step(room: IncidentRoom, step: Step) -> KeptStep | None:
    """What is kept of a step."""
    return next((one for one in room.steps if one.step == step.id), None)


def to_look_at(step: Step, room: IncidentRoom, now: float) -> KeptStep | None:
    """The step as live data is to be looked at for it, from `now` where its phase has begun anew; None where it is not
    watched."""
    kept, began = kept_step(room, step), begun(step.phase, room.incident)
    if step.verification is None or not step.verification.live or began is None:
        return None
    if kept is None:
        return watching(KeptStep(0, room.incident.id, step.id, step.text, "open", now), now)
    if kept.state in ("done", "overridden"):
        return None
    if kept.state == "open" or kept.began_at < began:
        return watching(kept, now)
    return kept if kept.watched else None


def watching(kept: KeptStep, began: float) -> KeptStep:
    """The step, watched from the beginning; whoever it was given to still has it."""
    fresh = KeptStep(kept.id, kept.incident_id, kept.step, kept.text, "watching", began)
    return replace(fresh, owner=kept.owner)


def standing(
    runbook: Runbook, room: IncidentRoom, alerts: Sequence[Alert], able: Iterable[StepAct] = ()
) -> list[StandingStep]:
    """Every step of the incident in order; the first that is not over and not somebody's task is the next."""
    able = set(able)
    found = [standing_of(step, room, able) for step in steps_of(runbook, room, alerts)]
    following = next((one for one in found if not one.over and not one.owner), None)
    following = following or next((one for one in found if not one.over), None)
    if following is not None:
        following.next = True
    return found


def standing_of(step: Step, room: IncidentRoom, able: set[StepAct]) -> StandingStep:
    """How one step stands."""
    asked, kept = step.verification, kept_step(room, step)
    verify = asked.text if asked else ""
    one = StandingStep(step.id, step.phase, step.text, verify, [act for act in step.acts if act in able], "open")
    if kept is not None:
        one.state, one.reading, one.owner = kept.state, kept.reading, kept.owner
        one.decided_at, one.decided_by, one.reason = kept.decided_at, kept.decided_by, kept.reason
        one.held_since = kept.held_since
    if asked is None or one.over:
        return one
    if not asked.live:
        one.state = "confirmed" if said_by(asked.predicates[0].kind, room) else "open"
    elif begun(step.phase, room.incident) is None:
        one.state, one.reading, one.waits_for = "open", "", BEGINS[step.phase]
    elif kept is not None and kept.watched:
        one.due_at = kept.began_at + asked.within_s
    return one


def able(parts: Parts, alerts: Iterable[Alert], deploys: DeployFacts | None) -> set[StepAct]:
    """The acts that can work now; `deploys` are of the incident's service, None where it names none."""
    limits, still = parts.settings.limits_for(EVERY_KEY), [alert for alert in alerts if alert.state != "resolved"]
    can: dict[StepAct, bool] = {
        "pause_deploys": deploys is not None and not deploys.paused_by,
        "roll_back_deploy": deploys is not None and bool(deploys.before),
        "roll_back_config": parts.settings.revision > 1,
        "lower_batch_items": limits.ingest_max_batch_items > SETTINGS["INGEST_MAX_BATCH_ITEMS"].minimum,
        "lower_body_bytes": limits.max_request_body_bytes > SETTINGS["MAX_REQUEST_BODY_BYTES"].minimum,
        "throttle": True,
        "rollups_only": limits.ingest_store_outcomes,
        "acknowledge": any(alert.acknowledged_at is None for alert in still),
        "silence": any(alert.silence_id is None for alert in still),
    }
    return {act for act, can_work in can.items() if can_work}


def said_by(kind: str, room: IncidentRoom) -> bool:
    """What the incident says of itself."""
    return bool(room.incident.root_cause) if kind == "report_written" else bool(room.actions)
