"""What a person does with a step of the runbook."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from server.incidents.act import IncidentAct, Minutes, Moment, Reason, ShortText, checked_text, conflict
from server.incidents.incident import Task
from server.incidents.room import IncidentRoom
from server.incidents.runbook import Runbook, Step
from server.incidents.steps import BEGINS, begun, kept_step, watching
from server.incidents.verification import OVER, KeptStep
from server.kernel.errors import ApiError, invalid
from server.kernel.text import checked_reason, span

# done: a person says so, of a step that no live data confirms; overridden: it needs no confirmation, with a reason;
# again: it is to be done, or checked, from the beginning; given: somebody has it as a task.
StepMove = Literal["done", "overridden", "again", "given"]


class DoStep(IncidentAct, tag="step"):
    """Say that a step is done, override it, let it begin again, or give it to somebody as a task."""

    step: ShortText
    to: StepMove
    reason: Reason = ""
    owner: Annotated[str, Meta(max_length=200)] = ""
    minutes: Minutes = 10

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        step = next((one for one in moment.runbook.steps if one.id == self.step), None)
        if step is None:
            why = f"The runbook has no step {self.step}; GET /api/v1/incidents/{room.incident.id}/steps lists them."
            raise ApiError("NOT_FOUND", f"{why} Nothing was done.")
        kept = kept_step(room, step)
        if self.to == "again":
            return self._again(room, step, kept, moment)
        if kept is None:
            kept = KeptStep(0, room.incident.id, step.id, step.text, "open", moment.now)
            room.steps.append(kept)
        if self.to == "given":
            return self._give(room, step, kept, moment)
        if kept.state in OVER:
            return already(kept, moment.now)
        if self.to == "done" and step.verification is not None:
            what = "live data confirms" if step.verification.live else "the incident itself confirms"
            raise invalid("to", f"is overridden, with a reason: {what} this step ({step.verification.text})")
        return self._decide(room, step, kept, moment)

    def _decide(self, room: IncidentRoom, step: Step, kept: KeptStep, moment: Moment) -> str:
        overridden = self.to == "overridden"
        kept.reason = checked_reason(self.reason, required=overridden)
        kept.state = "overridden" if overridden else "done"
        kept.decided_at, kept.decided_by = moment.now, moment.by
        because = f": {kept.reason}" if kept.reason else ""
        word = "Overridden" if overridden else "Done"
        last = f" Live data: {kept.reading}" if overridden and kept.reading else ""
        room.say("step", f"{word}: {step.text}{because}.{last}", moment.by, moment.now)
        return f"{word}: {step.text}."

    def _again(self, room: IncidentRoom, step: Step, kept: KeptStep | None, moment: Moment) -> str:
        live = step.verification is not None and step.verification.live
        if kept is None or kept.state == "open" or kept.watched:
            return "It is being checked already." if kept and kept.watched else "It is open already."
        if live and begun(step.phase, room.incident) is None:
            raise conflict(room.incident.id, f"is not so far: the step is watched once {BEGINS[step.phase]}")
        room.steps[room.steps.index(kept)] = watching(kept, moment.now) if live else opened(kept, moment.now)
        room.say("step", f"{'Checked again' if live else 'Open again'}: {step.text}.", moment.by, moment.now)
        return "It is checked again." if live else "It is open again."

    def _give(self, room: IncidentRoom, step: Step, kept: KeptStep, moment: Moment) -> str:
        owner = checked_text(self.owner, "owner")
        if not owner or "\n" in owner:
            raise invalid("owner", "say who has it, on one line")
        if kept.owner == owner:
            return f"{owner} has it already."
        kept.owner = owner
        due_at = moment.now + self.minutes * 60
        room.tasks.append(Task(0, room.incident.id, step.text, owner, due_at, moment.now, moment.by))
        room.say("task", f"{owner}: {step.text}. Back in {self.minutes} min.", moment.by, moment.now)
        return f"{owner} is asked, and is back in {self.minutes} min."


def already(kept: KeptStep, now: float) -> str:
    """What is told of a press on a step that is over."""
    who = f" by {kept.decided_by}" if kept.decided_by else ""
    when = f", {span(now - kept.decided_at)} ago" if kept.decided_at is not None else ""
    return f"Already {kept.state}{who}{when}."


def opened(kept: KeptStep, now: float) -> KeptStep:
    """The step, open from the beginning."""
    return KeptStep(kept.id, kept.incident_id, kept.step, kept.text, "open", now)


def task_done(room: IncidentRoom, task: Task, runbook: Runbook) -> None:
    """Say of the step that was given as this task that it is done, unless live data decides it."""
    decided = {step.id for step in runbook.steps if step.verification is not None}
    for kept in room.steps:
        if kept.step in decided:
            continue
        if kept.owner == task.owner and kept.text == task.text and kept.state == "open":
            kept.state, kept.decided_at, kept.decided_by = "done", task.done_at, task.done_by
