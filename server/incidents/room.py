"""The room: one incident with everybody and everything in it, as an act finds it and leaves it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from msgspec import Struct, field

from server.incidents.incident import (
    DeployAct,
    Incident,
    Membership,
    PreventiveAction,
    Role,
    RoleName,
    Task,
    TimelineEntry,
)
from server.incidents.verification import KeptStep
from server.kernel.errors import ApiError
from server.kernel.text import span

T = TypeVar("T", Task, PreventiveAction, DeployAct)


class IncidentRoom(Struct):
    """What one transaction reads, an act changes, and the transaction writes. Rows that are new have the id 0.
    `entries` are those that the act adds."""

    incident: Incident
    alerts: list[Membership] = field(default_factory=list)
    roles: list[Role] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    actions: list[PreventiveAction] = field(default_factory=list)
    steps: list[KeptStep] = field(default_factory=list)  # those that something has happened to
    deploys: list[DeployAct] = field(default_factory=list)
    entries: list[TimelineEntry] = field(default_factory=list)

    def say(
        self, kind: str, text: str, author: str, now: float, *, link: str = "", corrects: int | None = None
    ) -> None:
        """Add a line to the timeline."""
        self.entries.append(TimelineEntry(0, self.incident.id, now, kind, text, author, link, corrects))

    def holder(self, role: RoleName) -> Role | None:
        """Who holds a role."""
        return next((one for one in self.roles if one.role == role and one.until is None), None)

    def give(self, role: RoleName, person: str, now: float) -> None:
        """Let a person hold a role from now on; whoever held it does no longer."""
        held = self.holder(role)
        if held is not None:
            held.until = now
        self.roles.append(Role(0, self.incident.id, role, person, now))

    def task(self, number: int) -> Task:
        """One task; ApiError NOT_FOUND."""
        return found(self.tasks, number, "task", self.incident)

    def action(self, number: int) -> PreventiveAction:
        """One preventive action; ApiError NOT_FOUND."""
        return found(self.actions, number, "preventive action", self.incident)

    def deploy(self, number: int) -> DeployAct:
        """One pause, resume or roll back; ApiError NOT_FOUND."""
        return found(self.deploys, number, "deploy act", self.incident)

    def brief(self, now: float) -> list[str]:
        """What the next commander has to know, a line each: what, since when, done, open, next."""
        incident = self.incident
        open_ = [task for task in self.tasks if task.done_at is None]
        done = [task for task in self.tasks if task.done_at is not None]
        lines = [
            f"{incident.heading}: {incident.state}, onset {span(now - incident.onset)} ago.",
            f"Seen first: {incident.captured.text}" if incident.captured.text else "Nothing was captured.",
        ]
        lines += [f"Done: {task.text} ({task.owner}): {task.result or 'no result noted'}" for task in done]
        lines += [f"Open: {task.text} ({task.owner}), back {due(task, now)}" for task in sorted(open_, key=by_due)]
        if incident.update_due_at is not None:
            late = now > incident.update_due_at
            left = span(abs(incident.update_due_at - now))
            lines.append(f"Next: the update is {left} overdue." if late else f"Next: an update is due in {left}.")
        return lines


def found(rows: Sequence[T], number: int, what: str, incident: Incident) -> T:
    row = next((one for one in rows if one.id == number), None)
    if row is None:
        raise ApiError("NOT_FOUND", f"Incident {incident.id} has no {what} {number}. Nothing was done.")
    return row


def by_due(task: Task) -> float:
    """The one that is due first comes first."""
    return task.due_at


def due(task: Task, now: float) -> str:
    """`in 4 min`, `2 min ago`."""
    left = task.due_at - now
    return f"in {span(left)}" if left >= 0 else f"{span(-left)} ago"
