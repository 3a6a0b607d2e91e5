"""What acts do outside the incident: settings, acknowledgements, silences; each in the transaction of its act.

So a process that dies has done all of it or nothing, and who presses again finds it done. Only the signals come after
the commit, and they save waiting: every process also looks by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.alerts import acts as alert_acts
from server.alerts import silence_store
from server.alerts.alert import Alert
from server.alerts.matcher import labels_of
from server.alerts.silence import Silence, silencing
from server.changes import store as changes_store
from server.config.lever import LeverBy
from server.incidents import store
from server.incidents.act import Outside, Press, conflict
from server.incidents.lever_act import Acknowledge, LeverAct, OutsideAct, RollBackConfig, SilenceAlerts
from server.incidents.room import IncidentRoom
from server.kernel import shared_clock
from server.kernel.errors import ApiError
from server.kernel.text import ago, checked_reason, plural

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.parts import Parts

APART = 10  # so many objectives are silenced one by one; of more, their services


async def reach_out(
    parts: Parts, connection: AsyncConnection, room: IncidentRoom, asked: OutsideAct, press: Press
) -> Outside:
    """Do it; ApiError where it cannot be done, and then nothing of the act was."""
    if isinstance(asked, LeverAct):
        why = asked.reason or f"incident {room.incident.id}: {room.incident.title}"
        by = LeverBy(press.by, press.request_id, room.incident.id, checked_reason(why))
        done = await parts.pull(connection, asked.asked, by)
        undoes = isinstance(asked, RollBackConfig) and await made_here(connection, room, done.revision)
        return Outside(done.already, done.message, done.text, done.revision, undoes=undoes)
    still = [one for one in await store.alerts(connection, room.incident.id) if one.state != "resolved"]
    alerts = OpenAlerts(parts, connection, room, still, press)
    if isinstance(asked, Acknowledge):
        return await alerts.acknowledge(asked.alert)
    assert isinstance(asked, SilenceAlerts)
    return await alerts.silence(asked.minutes, checked_reason(asked.reason))


async def made_here(connection: AsyncConnection, room: IncidentRoom, revision: int | None) -> bool:
    """Whether the revision that another took the place of was made by an act of this incident."""
    made = await changes_store.revisions_of(connection, room.incident.id, room.incident.detected_at)
    return revision is not None and str(revision - 1) in {one.version for one in made}


@dataclass(frozen=True, slots=True)
class OpenAlerts:
    """The open alerts of an incident, and who does something about them."""

    parts: Parts
    connection: AsyncConnection
    room: IncidentRoom
    open: list[Alert]
    press: Press

    async def acknowledge(self, one: int | None) -> Outside:
        """Acknowledge one of them, or all."""
        incident, by = self.room.incident, self.press.by
        if one is not None and one not in {each.alert_id for each in self.room.alerts}:
            raise ApiError("NOT_FOUND", f"Incident {incident.id} has no alert {one}. Nothing was done.")
        meant = [alert for alert in self.open if one in (None, alert.id)]
        if not meant:
            raise conflict(incident.id, "has no open alert to acknowledge")
        ids = [alert.id for alert in meant]
        done = await alert_acts.acknowledged(self.parts, self.connection, ids, by, self.press.request_id)
        if not done:
            last = max(meant, key=lambda alert: alert.acknowledged_at or 0)
            since = ago(shared_clock.now() - (last.acknowledged_at or 0))
            return Outside(True, f"Already acknowledged by {last.acknowledged_by}, {since}.")
        what = done[0].objective if len(done) == 1 else plural(len(done), "alert")
        return Outside(False, f"Acknowledged: {what}. Nobody else is told.", f"Acknowledged: {what}", alerts=True)

    async def silence(self, minutes: int, reason: str) -> Outside:
        """Silence what they are of, where nothing keeps it quiet yet."""
        incident, now = self.room.incident, shared_clock.now()
        held = {objective.name for objective in self.parts.policies.objectives}
        meant = [alert for alert in self.open if alert.objective in held]
        if not meant:
            raise conflict(incident.id, "has no open alert of an objective to silence")
        active = await silence_store.active(self.connection, now)
        quiet = {alert.id: silencing(active, labels_of(alert)) for alert in meant}
        loud = [alert for alert in meant if quiet[alert.id] is None]
        if not loud:
            last = max((one for one in quiet.values() if one is not None), key=lambda one: one.id)
            return Outside(True, f"Already silenced by {last.author}, {ago(now - last.created_at)}.")
        whats = to_silence(loud, reason, self.press.by)
        for what in whats:
            await alert_acts.silenced(self.connection, what, minutes, self.press.request_id)
        text = f"Silenced for {minutes} min: {', '.join(one.what for one in whats)}"
        return Outside(False, f"{text}. Alerts are shown, and nobody is told.", f"{text}: {reason}", alerts=True)


def to_silence(alerts: list[Alert], reason: str, by: str) -> list[Silence]:
    """A silence for each objective, or where those are many, for each service."""
    objectives = sorted({alert.objective for alert in alerts})
    if len(objectives) <= APART:
        return [Silence(0, "", one, reason, by, 0.0, 0.0) for one in objectives]
    return [Silence(0, one, "", reason, by, 0.0, 0.0) for one in sorted({alert.service for alert in alerts})]


async def reached(parts: Parts, done: Outside) -> None:
    """Let everybody look at once, after the commit."""
    if done.revision is not None:
        await parts.pulled(done.revision)
    if done.alerts:
        await parts.bus.publish("alerts", 0)
