"""What people do in an incident, one small class an act: what it needs, and what it changes in the room.

An act is decoded from the API's body or a page's form, applied to the room inside one transaction that holds the
incident's row, and written with its lines of the timeline and its audit entry: see server/incidents/acting.py.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from server.incidents import update_clock
from server.incidents.act import (
    TEXT_MAX,
    IncidentAct,
    Link,
    Minutes,
    Moment,
    Number,
    Reason,
    Severity,
    ShortText,
    Text,
    checked_link,
    checked_text,
    conflict,
    one_line,
    within,
    written,
)
from server.incidents.after_act import AddAction, Close, FinishAction, WriteReport
from server.incidents.deploy_act import DeployDone, PauseDeploys, ResumeDeploys, RollBackDeploy
from server.incidents.incident import IncidentState, RoleName, Task
from server.incidents.lever_act import (
    Acknowledge,
    LowerBatchItems,
    LowerBodyBytes,
    RollBackConfig,
    RollupsOnly,
    SilenceAlerts,
    ThrottleSenders,
)
from server.incidents.moves import WORDS, moved, reopened
from server.incidents.room import IncidentRoom
from server.incidents.step_act import DoStep, task_done
from server.kernel.errors import invalid
from server.kernel.text import checked_reason, span
from server.kernel.times import Instant


class Accept(IncidentAct, tag="accept"):
    """Say that it is an incident, and command it where nobody does yet. Its open alerts are acknowledged with it."""

    command: bool = True

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        room.incident = update_clock.started(moved(room.incident, "declared", moment.now), moment.now)
        room.say("state", f"Declared by {moment.by}.", moment.by, moment.now)
        if self.command and room.holder("commander") is None:
            take(room, moment)
            return "Declared. You command."
        return "Declared."


class Decline(IncidentAct, tag="decline"):
    """Say that it is none: it leaves the measures."""

    reason: Reason

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        reason = checked_reason(self.reason)
        if room.incident.state != "suspected":
            raise conflict(room.incident.id, "was declared; close it, or merge it into another")
        room.incident = replace(moved(room.incident, "closed", moment.now), declined=reason)
        room.say("state", f"Declined by {moment.by}: {reason}", moment.by, moment.now)
        return "Declined. It is in no measure."


class Move(IncidentAct, tag="move"):
    """Say what is being done now."""

    to: IncidentState

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        if self.to not in ("investigating", "mitigating", "monitoring"):
            raise invalid("to", "is investigating, mitigating or monitoring; accept, resolve and close are acts apart")
        if room.incident.state in ("resolved", "closed"):
            raise conflict(room.incident.id, "is over; reopen it first")
        room.incident = moved(room.incident, self.to, moment.now)
        room.say("state", f"{WORDS[self.to]}: {moment.by}.", moment.by, moment.now)
        return f"{WORDS[self.to]}."


class SetSeverity(IncidentAct, tag="severity"):
    """Raise it in one press, or lower it with a reason."""

    severity: Severity
    reason: Reason = ""

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        before = room.incident.severity
        if self.severity == before:
            return f"It is SEV-{before} already."
        lower = self.severity > before
        reason = checked_reason(self.reason, required=lower)
        room.incident = replace(room.incident, severity=self.severity)
        if not lower:
            room.incident = update_clock.at_most(room.incident, moment.now)
        because = f": {reason}" if reason else "."
        room.say("severity", f"SEV-{before} -> SEV-{self.severity} by {moment.by}{because}", moment.by, moment.now)
        return f"SEV-{self.severity}, {'lowered' if lower else 'raised'} from SEV-{before}."


class CorrectOnset(IncidentAct, tag="onset"):
    """Say since when it really fails; what was estimated stays in what was captured."""

    at: Instant
    reason: Reason

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        reason = checked_reason(self.reason)
        at, before = within(self.at, "at", moment.now, ahead_s=0), room.incident.onset
        if room.incident.over_at is not None and at > room.incident.over_at:
            raise invalid("at", "lies after the end of the failure")
        room.incident = replace(room.incident, onset=at, onset_method="person")
        moved_s = at - before
        which = "later" if moved_s > 0 else "earlier"
        text = f"Onset {span(abs(moved_s))} {which}, by {moment.by}: {reason}"
        room.say("onset", text, moment.by, moment.now)
        return f"The onset is {span(abs(moved_s))} {which} now. The measures follow."


class TakeCommand(IncidentAct, tag="take_command"):
    """Command it; whoever did before does no longer."""

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        held = room.holder("commander")
        if held is not None and held.person == moment.by:
            return "You command already."
        take(room, moment)
        return f"You command. {held.person} did." if held else "You command."


class HandOver(IncidentAct, tag="hand_over"):
    """Let somebody else command."""

    to: ShortText

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        held, to = room.holder("commander"), one_line(self.to, "to")
        if held is not None and held.person == to:
            return f"{to} commands already."
        room.give("commander", to, moment.now)
        room.say("role", f"{moment.by} hands command over to {to}.", moment.by, moment.now)
        return f"{to} commands."


class TakeRole(IncidentAct, tag="take_role"):
    """Take a role beside the commander's."""

    role: RoleName

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        if self.role == "commander":
            return TakeCommand().apply(room, moment)
        held = room.holder(self.role)
        if held is not None and held.person == moment.by:
            return f"You are {self.role} already."
        room.give(self.role, moment.by, moment.now)
        room.say("role", f"{moment.by} is {self.role}.", moment.by, moment.now)
        return f"You are {self.role}."


class Note(IncidentAct, tag="note"):
    """Write down what was seen or done, with a link to what shows it."""

    text: Text
    link: Link = ""

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        room.say("note", written(self.text), moment.by, moment.now, link=checked_link(self.link))
        return "Noted."


class CorrectNote(IncidentAct, tag="correct"):
    """Put a note right; the first version is kept. `entry` is one of this incident's notes."""

    entry: Number
    text: Text

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        room.say("note", written(self.text), moment.by, moment.now, corrects=self.entry)
        return "Corrected. Both versions are kept."


class GiveTask(IncidentAct, tag="task"):
    """Ask one person to look into something, and to be back in some minutes."""

    text: ShortText
    owner: ShortText
    minutes: Minutes

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        due_at = moment.now + self.minutes * 60
        text, owner = one_line(self.text, "text"), one_line(self.owner, "owner")
        room.tasks.append(Task(0, room.incident.id, text, owner, due_at, moment.now, moment.by))
        room.say("task", f"{owner}: {text} Back in {self.minutes} min.", moment.by, moment.now)
        return f"{owner} is asked, and is back in {self.minutes} min."


class FinishTask(IncidentAct, tag="task_done"):
    """Say what came of a task."""

    task: Number
    result: Annotated[str, Meta(max_length=TEXT_MAX)] = ""

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        task = room.task(self.task)
        if task.done_at is not None:
            return f"Already done by {task.done_by}, {span(moment.now - task.done_at)} ago."
        task.done_at, task.done_by, task.result = moment.now, moment.by, checked_text(self.result, "result")
        task_done(room, task, moment.runbook)
        came = f" {task.result}" if task.result else ""
        room.say("task", f"Done: {task.text}{came}", moment.by, moment.now)
        return "Done."


class PostUpdate(IncidentAct, tag="update"):
    """Tell everyone who waits how it stands; the clock of the next update begins anew."""

    text: Text

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        room.say("update", written(self.text), moment.by, moment.now)
        if not room.incident.open:
            return "Posted. No further update is due."
        room.incident = update_clock.started(room.incident, moment.now)
        return f"Posted. The next is due in {span(update_clock.EVERY_S[room.incident.severity])}."


class Resolve(IncidentAct, tag="resolve"):
    """Say that it is over: where live data proves it, else with a reason."""

    reason: Reason = ""

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        if room.incident.state == "resolved":
            return "It is resolved already."
        given = moment.proof.given
        if not given and not self.reason.strip():
            raise conflict(
                room.incident.id, f"cannot be resolved yet: {moment.proof.text} Give a reason to do it all the same"
            )
        reason = checked_reason(self.reason, required=not given)
        if room.incident.state != "monitoring":
            room.incident = moved(room.incident, "monitoring", moment.now)
        if moment.proof.since is not None:
            room.incident = replace(room.incident, over_at=moment.proof.since)
        if moment.proof.waits == "signals" and not room.alerts:
            room.incident = replace(room.incident, over_at=None)  # nobody has measured when it ended
        room.incident = moved(room.incident, "resolved", moment.now)
        said = moment.proof.text if given else f"without proof ({moment.proof.text}): {reason}"
        room.say("state", f"Resolved by {moment.by}. {said}", moment.by, moment.now)
        return "Resolved."


class Reopen(IncidentAct, tag="reopen"):
    """Say that it is not over."""

    reason: Reason

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        reason = checked_reason(self.reason)
        if room.incident.open:
            return f"It is open already: {room.incident.state}."
        if room.incident.merged_into is not None:
            raise conflict(room.incident.id, f"was merged into incident {room.incident.merged_into}")
        room.incident = replace(reopened(room.incident, moment.now), declined="")
        room.say("state", f"Reopened by {moment.by}: {reason}", moment.by, moment.now)
        return "Reopened."


AnyAct = (
    Accept
    | Decline
    | Move
    | SetSeverity
    | CorrectOnset
    | TakeCommand
    | HandOver
    | TakeRole
    | Note
    | CorrectNote
    | GiveTask
    | FinishTask
    | DoStep
    | PostUpdate
    | Resolve
    | Reopen
    | Close
    | WriteReport
    | AddAction
    | FinishAction
    | PauseDeploys
    | ResumeDeploys
    | RollBackDeploy
    | DeployDone
    | RollBackConfig
    | LowerBatchItems
    | LowerBodyBytes
    | ThrottleSenders
    | RollupsOnly
    | Acknowledge
    | SilenceAlerts
)


def take(room: IncidentRoom, moment: Moment) -> None:
    """Let who acts command."""
    room.give("commander", moment.by, moment.now)
    room.say("role", f"{moment.by} commands.", moment.by, moment.now)
