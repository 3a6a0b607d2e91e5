"""What is told reaches people: no target has given up, or has been failing for long, and there is one."""

from __future__ import annotations

from collections.abc import Sequence

from checks.check import Check, Surroundings, fail, warn
from server.notify.kinds import KINDS, kind_of
from server.notify.store import Faring, faring
from server.selfcheck.findings import Finding

FAILING_S = 120.0

TEST = "Mend it or its target, then press Send a test message on Setup: what waits is sent at once."


async def run(around: Surroundings) -> list[Finding]:
    """How every target fares."""
    async with around.database.ask() as connection:
        return judged(await faring(connection))


def judged(targets: Sequence[Faring]) -> list[Finding]:
    """A finding for each target that does not answer, or one where there is none."""
    if not targets:
        return [warn("There is no target: nobody is told of an alert.", "Add one on Setup, under Targets.")]
    found = [finding for target in targets if (finding := dead(target)) is not None]
    if not any(kind_of(target.kind).takes_tickets for target in targets):
        found.append(no_tickets(targets))
    return found


def no_tickets(targets: Sequence[Faring]) -> Finding:
    titles = " or ".join(sorted({kind_of(target.kind).title for target in targets}))
    others = ", ".join(kind.title for kind in KINDS.values() if kind.takes_tickets)
    hint = f"Add one of another kind on Setup ({others}): {titles} is not told of what need not wake anybody."
    return warn(f"Tickets go nowhere: every target is {titles}.", hint)


def dead(target: Faring) -> Finding | None:
    where = f"target {target.name}"
    if target.failing_s is not None and target.failing_s > FAILING_S:
        what = f"Nothing has arrived for {target.failing_s:.0f} s, {target.waiting} wait: {target.last_error}."
        return fail(what, TEST, where)
    if target.gave_up_at is not None:
        return fail(f"The last message was given up: {target.last_error}.", TEST, where)
    return None


CHECK = Check(
    "notify_targets",
    "Alerts reach every target",
    needs="database",
    run=run,
    every_s=30,
    limit_s=10,
)
