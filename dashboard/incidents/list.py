"""Incidents: those that are open, the worst first, and the newest that are over; and a form to declare one."""

from __future__ import annotations

from msgspec import Struct

from dashboard.shared.act import ActPage, whole
from dashboard.shared.live import Ask, LivePage, live_page
from dashboard.shared.memo import Memo
from dashboard.shared.page import Page
from dashboard.shared.signals import SignalShown, signals_shown
from server.incidents import store
from server.incidents.act import Press
from server.incidents.acting import declare
from server.incidents.incident import Incident, Role
from server.incidents.keeper import worst_first
from server.kernel import shared_clock
from server.parts import Parts
from server.signals import store as signals_store

SHOWN = 100
ALONE_SHOWN = 10


class IncidentRow(Struct):
    """One incident of the list, and who commands it; None: nobody."""

    incident: Incident
    commander: Role | None


class IncidentsView(Struct):
    """The page; None: it cannot be read just now."""

    open: list[IncidentRow] | None
    over: list[IncidentRow]
    alone: list[SignalShown] = []  # signals that fire in no incident, at most ALONE_SHOWN
    alone_total: int = 0


async def read(parts: Parts) -> IncidentsView:
    now = shared_clock.now()
    async with parts.db.act() as connection:
        open_ = await store.open_incidents(connection)
        newest = await store.listed(connection, open_only=False, service=None, before=None, limit=SHOWN)
        commanders = await store.commanders(connection, [one.id for one in open_ + newest])
        alone, total = await signals_store.alone(connection, now, parts.policies.budget_policy.signals, ALONE_SHOWN)
    worst = sorted(open_, key=worst_first)
    over = [one for one in newest if not one.open]
    open_rows, over_rows = ([IncidentRow(one, commanders.get(one.id)) for one in some] for some in (worst, over))
    return IncidentsView(open_rows, over_rows, signals_shown(alone, parts, now), total)


RECORDS = Memo(read, kept_s=5)


async def incidents_view(parts: Parts, ask: Ask, now: float) -> IncidentsView:
    """Read anew each second."""
    return await RECORDS.get(parts, now) or IncidentsView(None, [])


def incidents_title(view: IncidentsView) -> str:
    """The tab: `■ 1 open · Incidents`."""
    n = sum(not row.incident.drill for row in view.open or [])
    return f"■ {n} open · Incidents · Evenkeel" if n else "Incidents · Evenkeel"


INCIDENTS = live_page(
    LivePage(
        name="incidents",
        template="incidents.html",
        context=incidents_view,
        regions={
            "incidents-open": "incidents/open.html",
            "incidents-alone": "incidents/alone.html",
            "incidents-over": "incidents/over.html",
        },
        wakes=("incidents",),
        title="Incidents · Evenkeel",
        titles=incidents_title,
    )
)


class IncidentsPage(Page):
    """GET /incidents."""

    async def get(self) -> None:
        picture = self.parts.relay.picture
        names = sorted(service.name for service in picture.services) if picture else []
        declare = self.get_query_argument("declare", "") == "1"  # where the key `d` leads: the form is open
        await self.show_live(INCIDENTS, beside={"services": names, "declare": declare})


class DeclareAct(ActPage):
    """POST /incidents/declare: in two fields."""

    back = "/incidents"

    async def act(self) -> str | None:
        assert self.identity is not None
        press = Press(self.identity.actor, self.request_id)
        title, service = self.get_body_argument("title", ""), self.get_body_argument("service", "")
        done = await declare(self.parts, title, service, whole(self, "severity"), press)
        self.say(done.message)
        self.see_other(f"/incidents/{done.incident.id}")
        return None
