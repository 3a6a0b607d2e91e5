"""Acts afterwards: root cause, preventive actions, and the close that needs them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from server.incidents.act import (
    FAR_S,
    TEXT_MAX,
    IncidentAct,
    Link,
    Moment,
    Number,
    ShortText,
    checked_link,
    checked_text,
    conflict,
    one_line,
    within,
)
from server.incidents.incident import CauseClass, PreventiveAction
from server.incidents.moves import moved
from server.incidents.room import IncidentRoom
from server.kernel.text import plural, span
from server.kernel.times import Instant


class Close(IncidentAct, tag="close"):
    """End the work on it. A SEV-1 or SEV-2 that is no drill needs its root cause and a preventive action first: P0,
    where it spent more of a budget than the policy's `postmortemShare`."""

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        if room.incident.state == "closed":
            return "It is closed already."
        if room.incident.state != "resolved":
            raise conflict(room.incident.id, "is not resolved; resolve it first")
        if room.incident.severity < 3 and not room.incident.drill:
            missing = [] if room.incident.root_cause else ["its root cause"]
            missing += needed_actions(room, moment)
            if missing:
                needs = " and ".join(missing)
                raise conflict(
                    room.incident.id, f"is a SEV-{room.incident.severity} and needs {needs} before it is closed"
                )
        room.incident = moved(room.incident, "closed", moment.now)
        room.say("state", f"Closed by {moment.by}.", moment.by, moment.now)
        return "Closed."


def needed_actions(room: IncidentRoom, moment: Moment) -> list[str]:
    """What is missing of preventive actions before a grave incident is closed; one is P0 where the policy asks."""
    if not room.actions:
        return ["at least one preventive action"]
    enough = not moment.asks_p0 or any(one.priority == 0 for one in room.actions)
    return [] if enough else ["a preventive action P0, by postmortemShare of the policy,"]


class WriteReport(IncidentAct, tag="report"):
    """Write down the root cause, its class, and what went well; what is left out stays."""

    root_cause: Annotated[str, Meta(max_length=TEXT_MAX)] | None = None
    cause_class: CauseClass | None = None
    went_well: Annotated[str, Meta(max_length=TEXT_MAX)] | None = None

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        before = room.incident
        cause = before.root_cause if self.root_cause is None else checked_text(self.root_cause, "root_cause")
        well = before.went_well if self.went_well is None else checked_text(self.went_well, "went_well")
        if not cause and before.state == "closed" and before.severity < 3:
            raise conflict(
                room.incident.id, f"is a SEV-{before.severity}, closed with its root cause, which cannot be taken away"
            )
        kind = self.cause_class or before.cause_class
        room.incident = replace(before, root_cause=cause, cause_class=kind, went_well=well)
        if room.incident == before:
            return "It says so already."
        room.say("report", f"Root cause ({kind}): {cause or 'not known'}", moment.by, moment.now)
        return "Saved."


class AddAction(IncidentAct, tag="action"):
    """Name what is to be done so that it does not happen again, by whom and until when."""

    title: ShortText
    owner: ShortText
    priority: Annotated[int, Meta(ge=0, le=3)]
    due_at: Instant
    link: Link = ""

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        title, owner = one_line(self.title, "title"), one_line(self.owner, "owner")
        due_at = within(self.due_at, "due_at", moment.now, ahead_s=FAR_S)
        action = PreventiveAction(
            0, room.incident.id, title, owner, self.priority, due_at, moment.now, moment.by, checked_link(self.link)
        )
        room.actions.append(action)
        room.say("action", f"P{self.priority} {owner}: {title}", moment.by, moment.now, link=checked_link(self.link))
        return f"P{self.priority} for {owner}. {plural(len(room.actions), 'preventive action')} so far."


class FinishAction(IncidentAct, tag="action_done"):
    """Say that a preventive action is done."""

    action: Number

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        action = room.action(self.action)
        if action.done_at is not None:
            return f"Already done by {action.done_by}, {span(moment.now - action.done_at)} ago."
        action.done_at, action.done_by = moment.now, moment.by
        room.say("action", f"Done: {action.title}", moment.by, moment.now)
        return "Done."
