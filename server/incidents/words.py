"""An incident in words: what is told to those who wait outside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from server.alerts.alert import Alert
from server.alerts.words import failing
from server.incidents.moves import WORDS
from server.incidents.proof import Proof
from server.incidents.room import IncidentRoom
from server.incidents.update_clock import EVERY_S
from server.kernel.text import span


def public_update(room: IncidentRoom, alerts: Sequence[Alert], found: Proof, now: float) -> str:
    """`SEV-2 checkout failing. Mitigating. 4.1 % of requests fail (objective 0.1 %) since 03:04 UTC. Next update by
    03:34 UTC.` Prefilled from live data at `now`, Unix seconds; without names of people."""
    incident = room.incident
    sentences = [f"SEV-{incident.severity} {incident.title}.", f"{WORDS[incident.state]}."]
    burning = [alert for alert in alerts if alert.state != "resolved" and alert.clear_since is None]
    if burning:
        sentences.append(f"{burning[0].service}: {failing(burning[0])} since {minute(incident.onset)}.")
    elif incident.over_at is not None and incident.open:
        said = "Requests succeed again" if alerts else "It seems over"
        sentences.append(f"{said} since {minute(incident.over_at)}; we watch it. {found.text}")
    elif incident.over_at is not None:
        lasted = span(max(0.0, incident.over_at - incident.onset))
        sentences.append(f"Over since {minute(incident.over_at)}, after {lasted}.")
    else:
        sentences.append(f"Since {minute(incident.onset)}.")
    if incident.open:
        sentences.append(f"Next update by {minute(now + EVERY_S[incident.severity])}.")
    return " ".join(sentences)


def minute(at: float) -> str:
    """`03:04 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M UTC")
