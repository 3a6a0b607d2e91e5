"""The watch holds its lease, makes the picture and folds."""

from __future__ import annotations

from checks import store
from checks.check import Check, Surroundings, fail
from server.findings import Finding

LEASE_S = 5.0  # renewed each second, taken over after 3 s
PICTURE_S = 5.0
UNFOLDED_S = 180.0

NO_WATCH = "Look for the watch process: its log, its memory. Another machine's watch takes over within 3 s."


async def run(around: Surroundings) -> list[Finding]:
    """The ages of what the watch keeps fresh."""
    async with around.database.ask() as connection:
        lease = await store.lease_age_s(connection)
        picture = await store.picture_age_s(connection)
        unfolded = await store.unfolded_age_s(connection)
    return judged(lease, picture, unfolded)


def judged(lease_s: float | None, picture_s: float | None, unfolded_s: float) -> list[Finding]:
    """Findings from the ages in seconds; None: there never was one."""
    if lease_s is None or lease_s > LEASE_S:
        return [fail(f"No watch: the lease was {ago('renewed', lease_s)}. Alerts are not evaluated.", NO_WATCH)]
    findings = []
    if picture_s is None or picture_s > PICTURE_S:
        hint = "The watch leads but does not tick: its log says why. Pages show the last known state."
        findings.append(fail(f"The picture was {ago('made', picture_s)}.", hint))
    if unfolded_s > UNFOLDED_S:
        hint = "Folding fails or is too slow: the watch's log says why. Nothing is lost, questions get slower."
        findings.append(fail(f"The oldest delta has waited {unfolded_s:.0f} s to be folded.", hint))
    return findings


def ago(verb: str, age_s: float | None) -> str:
    return f"never {verb}" if age_s is None else f"last {verb} {age_s:.1f} s ago"


CHECK = Check(
    "watch", "The watch leads, makes the picture and folds", needs="database", run=run, every_s=30, limit_s=10
)
