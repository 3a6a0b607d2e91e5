"""What we knew: an incident as it looked at a moment, scrubbed through picture by picture."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from msgspec import Struct

from dashboard.incidents.room import LineGroup, grouped
from dashboard.now.rows import LiveRow, draw, service_rows
from dashboard.shared.page import Page
from server.alerts.alert import Alert
from server.alerts.words import failing
from server.incidents.knew import Knew, knew
from server.kernel import shared_clock
from server.kernel.errors import ApiError
from server.kernel.ids import number_in
from server.kernel.times import instant
from server.picture.kept_store import EVERY_S

UNIX = re.compile(r"\d{1,11}(\.\d{1,9})?", re.ASCII)  # as the scrubber sends it
STEPS = ((-60.0, "1 min earlier"), (-EVERY_S, "5 s earlier"), (EVERY_S, "5 s later"), (60.0, "1 min later"))
CLOSE_S = 0.001  # two times of one picture, of which the database keeps microseconds
DRAWN = 60  # rows with charts


class AlertKnown(Struct):
    """An alert that was open then, and what failed."""

    alert: Alert
    failing: str


class KnewView(Struct):
    """The page. `steps`: where the links lead, '' where nothing is kept there."""

    knew: Knew
    rows: list[LiveRow]  # the worst first
    alerts: list[AlertKnown]
    groups: list[LineGroup]  # newest first
    steps: list[tuple[str, str]]

    @property
    def at(self) -> float:
        """When the picture was made, Unix seconds."""
        return self.knew.picture.at


def knew_view(found: Knew) -> KnewView:
    """A moment for people."""
    picture = found.picture
    rows = service_rows(picture)
    draw(rows[:DRAWN], int(picture.at))
    alerts = [AlertKnown(alert, failing(alert)) for alert in picture.alerts if alert.state != "resolved"]
    return KnewView(found, rows, alerts, grouped(found.lines), [(steps_to(found, s), text) for s, text in STEPS])


def steps_to(found: Knew, seconds: float) -> str:
    """The address of the picture so much later; '' beyond the last and before the first."""
    at, kept = found.picture.at, found.kept
    if (seconds < 0 and at < kept.first + CLOSE_S) or (seconds > 0 and at > kept.last - CLOSE_S):
        return ""
    to = min(max(at + seconds, kept.first), kept.last)
    return f"/incidents/{found.incident.id}/knew?{urlencode({'at': f'{to:.6f}'})}"


def moment(text: str) -> float | None:
    """What the address asks for: Unix seconds, or RFC 3339; None: the last one. ApiError INVALID."""
    if not text:
        return None
    return float(text) if UNIX.fullmatch(text) else instant("at", text[:40]).timestamp()


class KnewPage(Page):
    """GET /incidents/{id}/knew?at=."""

    async def get(self, id: str) -> None:
        number = number_in(id)
        if number is None:
            raise ApiError("NOT_FOUND", "There is no such incident. The page Incidents lists them.")
        at = moment(self.get_query_argument("at", ""))
        async with self.parts.db.ask() as connection:
            found = await knew(connection, number, at, shared_clock.now())
        title = f"What we knew · {found.incident.title} · Evenkeel"
        self.show("knew.html", knew_view(found), title=title, page="knew")
