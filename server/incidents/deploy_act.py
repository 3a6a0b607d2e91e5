"""Acts on the deploys of a service: pause, resume, roll back, and that a roll back was done by hand."""

from __future__ import annotations

from msgspec.structs import replace

from server.changes.target import DeployActName, DeployFacts
from server.incidents.act import IncidentAct, Moment, Number, ShortText, conflict
from server.incidents.incident import DeployAct, DeployActState
from server.incidents.moves import mitigated
from server.incidents.room import IncidentRoom
from server.kernel.text import span


class DeployIncidentAct(IncidentAct):
    """An act on the deploys of a service."""

    service: ShortText


class PauseDeploys(DeployIncidentAct, tag="pause_deploys"):
    """Let no deploy of a service out: the gate denies them, and what deploys is told where it can be."""

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        known = deploys_of(room, moment)
        if known.paused_by:
            return f"Already paused by {known.paused_by}."
        ask(room, moment, "pause", known)
        room.say("deploy", f"Deploys of {self.service} paused by {moment.by}.", moment.by, moment.now)
        return f"Paused: the gate denies deploys of {self.service} until they are resumed or this is closed."


class ResumeDeploys(DeployIncidentAct, tag="resume_deploys"):
    """Let the deploys of a service out again."""

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        known = deploys_of(room, moment)
        if not known.paused_by:
            return f"Deploys of {self.service} are not paused."
        ask(room, moment, "resume", known)
        room.say("deploy", f"Deploys of {self.service} resumed by {moment.by}.", moment.by, moment.now)
        return "Resumed."


class RollBackDeploy(DeployIncidentAct, tag="roll_back_deploy"):
    """Take a version out of production and go back to another. `armed`: a second press, where a migration may stand in
    the way."""

    version: ShortText
    rolls_back: ShortText
    armed: bool = False

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        known = deploys_of(room, moment)
        same = next((one for one in reversed(room.deploys) if self.is_same(one)), None)
        if same is not None:
            return f"Already rolled back by {same.asked_by}, {span(moment.now - same.asked_at)} ago."
        if known.running != self.rolls_back or self.version == self.rolls_back:
            runs = known.running or "no version that is known"
            raise conflict(
                room.incident.id, f"cannot roll {self.rolls_back} back: {self.service} runs {runs}; look again"
            )
        if known.armed_first and not self.armed:
            raise conflict(room.incident.id, f"needs a second press (armed): {known.warning}")
        made = ask(room, moment, "roll_back", known)
        made.version, made.rolls_back = self.version, self.rolls_back
        made.command = known.command.replace(known.before, self.version) if known.before else ""
        text = f"{self.service} goes back from {self.rolls_back} to {self.version}, by {moment.by}."
        room.say("deploy", text, moment.by, moment.now)
        if not undoes(room, made):  # to take a mitigation back is none
            before = room.incident.mitigated_at  # and so far it is only asked for
            room.incident = replace(mitigated(room.incident, moment.now), mitigated_at=before)
        ending = f"Type {made.command}, then mark it done." if made.state == "by_hand" else f"{known.kind} is told."
        return f"Rolling back to {self.version}. {ending}"

    def is_same(self, one: DeployAct) -> bool:
        """Whether one was this roll back, and stands."""
        wanted = ("roll_back", self.service, self.version, self.rolls_back)
        return (one.act, one.service, one.version, one.rolls_back) == wanted and one.state != "failed"


class DeployDone(IncidentAct, tag="deploy_done"):
    """Say that a roll back was done by hand."""

    deploy: Number

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        one = room.deploy(self.deploy)
        if one.state == "done":
            return "It is done already."
        if one.state == "waiting":
            raise conflict(room.incident.id, "waits for the answer to it; it cannot be marked done yet")
        one.state, one.ended_at, one.receipt = "done", moment.now, f"by hand, {moment.by}"
        took_effect(room, one, moment.now)
        room.say("deploy", f"{one.service} runs {one.version} again, says {moment.by}.", moment.by, moment.now)
        return "Done."


def undoes(room: IncidentRoom, made: DeployAct) -> bool:
    """Whether a roll back takes back what the one before it of the service in this incident has done."""
    mine = [one for one in room.deploys if one.act == "roll_back" and one.service == made.service]
    before = mine[mine.index(made) - 1] if mine.index(made) else None
    return before is not None and (before.version, before.rolls_back) == (made.rolls_back, made.version)


def took_effect(room: IncidentRoom, done: DeployAct, now: float) -> None:
    """The first roll back that is done mitigates, at the latest when it was over; one that undoes another does not."""
    incident = room.incident
    if done.act == "roll_back" and incident.mitigated_at is None and not undoes(room, done):
        room.incident = replace(incident, mitigated_at=min(now, incident.over_at or now))


def deploys_of(room: IncidentRoom, moment: Moment) -> DeployFacts:
    """What is known of the deploys; ApiError CONFLICT where the incident is over."""
    if room.incident.state == "closed":
        raise conflict(room.incident.id, "is closed; reopen it first")
    assert moment.deploys is not None
    return moment.deploys


def ask(room: IncidentRoom, moment: Moment, act: DeployActName, known: DeployFacts) -> DeployAct:
    """Keep what is asked of what deploys. A pause holds at the gate, with or without anybody to tell."""
    state: DeployActState = "waiting" if act in known.can else "by_hand" if act == "roll_back" else "done"
    made = DeployAct(0, room.incident.id, act, known.service, "", "", state, moment.by, moment.now)
    if state == "done":
        made.ended_at, made.receipt = moment.now, "at the gate"
    room.deploys.append(made)
    return made
