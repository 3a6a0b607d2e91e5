"""Who is told of an alert: which targets, in which step, of which event."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from server.alerts.notice import Notice
from server.kernel.names import is_drill
from server.notify.kinds import kind_of
from server.notify.target import Target
from server.slo.model.tiers import Urgency

STEPS = 9
ESCALATE_S = 300.0  # nobody acknowledged for so long: the next step is told


def receiving(notice: Notice, targets: Sequence[Target], told: Iterable[int]) -> list[Target]:
    """Who hears of it: of a trigger the first step, of the rest whoever was told before and takes it.

    `told`: the ids of the targets that were told that it began.
    """
    if notice.event == "trigger":
        return first_step(drilled(targets, notice.alert.service), notice.alert.urgency)
    before = [target for target in targets if target.id in told]
    return [target for target in before if notice.event != "update" or kind_of(target.kind).takes_updates]


def drilled(targets: Sequence[Target], service: str) -> list[Target]:
    """Those that may hear of a service: of a drill's, not whom it would wake."""
    return [target for target in targets if not is_drill(service) or kind_of(target.kind).takes_drills]


def first_step(targets: Sequence[Target], urgency: Urgency) -> list[Target]:
    """Who is told first: the targets of the lowest step that takes it."""
    return next_step(targets, urgency, 0)


def next_step(targets: Sequence[Target], urgency: Urgency, step: int) -> list[Target]:
    """Who is told after `step`: the targets of the lowest step above it; none after the last."""
    able = [target for target in targets if target.step > step and takes(target, urgency)]
    lowest = min((target.step for target in able), default=0)
    return [target for target in able if target.step == lowest]


def hearing(targets: Sequence[Target], told: Iterable[int]) -> list[Target]:
    """Who hears of an incident or of maintenance: the targets of the lowest step that takes it, and whoever was told of
    it before or of an alert in it. `told`: their ids."""
    able = [target for target in targets if kind_of(target.kind).takes_incidents]
    lowest = min((target.step for target in able), default=0)
    return [target for target in able if target.step == lowest or target.id in told]


def takes(target: Target, urgency: Urgency) -> bool:
    """Whether a target is told of something that urgent: a ticket wakes nobody."""
    return urgency == "page" or kind_of(target.kind).takes_tickets
