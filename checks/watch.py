"""The watch holds its lease, makes the picture, evaluates alerts and folds."""

from __future__ import annotations

from checks import store
from checks.check import Check, Surroundings, fail, warn
from server.alerts.store import ended_unread
from server.picture import store as picture_store
from server.picture.picture import read_picture
from server.selfcheck.findings import Finding

LEASE_S = 5.0  # renewed each second, taken over after 3 s
PICTURE_S = 5.0
UNFOLDED_S = 180.0
UNREAD_S = 24 * 3600.0  # for so long it is told that an alert was lost

NO_WATCH = "Look for the watch process: its log, its memory. Another machine's watch takes over within 3 s."


async def run(around: Surroundings) -> list[Finding]:
    """The ages of what the watch keeps fresh."""
    async with around.database.ask() as connection:
        lease = await store.lease_age_s(connection)
        stored = await picture_store.read(connection)
        unfolded = await store.unfolded_age_s(connection)
        unread = await ended_unread(connection, UNREAD_S)
    behind = read_picture(stored.body)[0].behind_s if stored else 0.0
    return judged(lease, stored.age_s if stored else None, unfolded, behind) + [lost(alert) for alert in unread]


def judged(lease_s: float | None, picture_s: float | None, unfolded_s: float, behind_s: float = 0.0) -> list[Finding]:
    """Findings from the ages in seconds; None: there never was one. `behind_s`: what is in the picture is older by."""
    if lease_s is None or lease_s > LEASE_S:
        return [fail(f"No watch: the lease was {ago('renewed', lease_s)}. Alerts are not evaluated.", NO_WATCH)]
    findings = []
    if picture_s is None or picture_s > PICTURE_S:
        hint = "The watch leads but does not tick: its log says why. Pages show the last known state."
        findings.append(fail(f"The picture was {ago('made', picture_s)}.", hint))
    elif picture_s + behind_s > PICTURE_S:
        hint = "The watch ticks, but its evaluation or its alerts fail: its log says why. Nobody is paged meanwhile."
        findings.append(fail(f"Alerts have not been evaluated for {picture_s + behind_s:.0f} s.", hint))
    if unfolded_s > UNFOLDED_S:
        hint = "Folding fails or is too slow: the watch's log says why. Nothing is lost, questions get slower."
        findings.append(fail(f"The oldest delta has waited {unfolded_s:.0f} s to be folded.", hint))
    return findings


def lost(alert_id: int) -> Finding:
    """An alert that the watch had to end."""
    hint = "What still burnt made a new alert, which was told. Resolve the old one by hand where it was sent to."
    return warn(f"Alert {alert_id} could not be read and was ended.", hint, f"alert {alert_id}")


def ago(verb: str, age_s: float | None) -> str:
    return f"never {verb}" if age_s is None else f"last {verb} {age_s:.1f} s ago"


CHECK = Check(
    "watch",
    "The watch leads, makes the picture, evaluates alerts and folds",
    needs="database",
    run=run,
    every_s=30,
    limit_s=10,
)
