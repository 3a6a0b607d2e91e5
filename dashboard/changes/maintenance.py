"""Maintenance under Changes: what is planned, what runs and what is over; planned, extended and ended here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec import Struct

from dashboard.objectives.exclusions import TYPED, moment
from dashboard.shared.act import ActPage, whole
from dashboard.shared.live import Ask, LivePage, live_page
from dashboard.shared.memo import Memo
from dashboard.shared.page import Page
from server.kernel import shared_clock
from server.kernel.errors import ApiError, invalid
from server.kernel.names import is_drill
from server.maintenance import acts, store
from server.maintenance.acts import Actor
from server.maintenance.store import WindowRow
from server.maintenance.window import Extension, WindowAsked
from server.parts import Parts

OVER_SHOWN = 50
USUAL = timedelta(hours=1)
LONGEST = 600  # characters of any field; the functions say which bounds really hold


class MaintenanceView(Struct):
    """The lists; None: they cannot be read just now."""

    open: list[WindowRow] | None  # planned and running, the one that begins first first
    over: list[WindowRow]


class WindowDraft(Struct):
    """The form, as typed. Times are UTC."""

    start: str
    stop: str
    services: list[str] = []
    reason: str = ""
    expected: str = ""
    fault: str = ""


class MaintenanceForm(Struct):
    """Beside the live region: the form, and the services that it may name. `held`: how many have an objective."""

    draft: WindowDraft
    services: list[str]
    held: int
    max_hours: int


async def read(parts: Parts) -> MaintenanceView:
    async with parts.db.ask() as connection:
        return MaintenanceView(await store.open_(connection), await store.over(connection, OVER_SHOWN))


RECORDS = Memo(read, kept_s=2)


async def maintenance_view(parts: Parts, ask: Ask, now: float) -> MaintenanceView:
    """Read anew each second."""
    return await RECORDS.get(parts, now) or MaintenanceView(None, [])


MAINTENANCE = live_page(
    LivePage(
        name="maintenance",
        template="maintenance.html",
        context=maintenance_view,
        regions={"maintenance-open": "changes/open.html", "maintenance-over": "changes/over.html"},
        wakes=("alerts",),
        title="Maintenance · Evenkeel",
    )
)


def form(parts: Parts, draft: WindowDraft) -> MaintenanceForm:
    """The form with what is typed in it."""
    held = {objective.service for objective in parts.policies.of_production}
    services = parts.relay.picture.services if parts.relay.picture else []
    seen = {service.name for service in services if not is_drill(service.name)}
    return MaintenanceForm(draft, sorted(held | seen), len(held), parts.policies.budget_policy.exclusions_max_hours)


class MaintenancePage(Page):
    """GET /changes/maintenance."""

    async def get(self) -> None:
        begins = datetime.fromtimestamp(shared_clock.now() // 3600 * 3600, UTC) + USUAL
        draft = WindowDraft(begins.strftime(TYPED), (begins + USUAL).strftime(TYPED))
        await self.show_live(MAINTENANCE, beside=form(self.parts, draft))


class WindowAct(ActPage):
    """What the acts share."""

    back = "/changes/maintenance"

    @property
    def actor(self) -> Actor:
        """Who acts."""
        assert self.identity is not None
        return Actor(self.identity.actor, self.request_id)

    def field(self, name: str) -> str:
        return self.get_body_argument(name, "")[:LONGEST]


class WindowPlan(WindowAct):
    """POST /changes/maintenance/plan; where it is refused the form says why, with what was typed."""

    async def act(self) -> str:
        start, stop = moment("From", self.field("start")), moment("Until", self.field("stop"))
        services = self.get_body_arguments("services")
        asked = WindowAsked(start, stop, self.field("reason"), services, self.field("expected"))
        return (await acts.plan(self.parts, asked, self.actor)).message

    async def refused(self, error: ApiError) -> None:
        if error.code != "INVALID":
            raise error
        typed = {name: self.field(name) for name in ("start", "stop", "reason", "expected")}
        draft = WindowDraft(**typed, services=self.get_body_arguments("services"), fault=error.detail)
        self.set_status(error.status)
        await self.show_live(MAINTENANCE, beside=form(self.parts, draft))


class WindowEnd(WindowAct):
    """POST /changes/maintenance/end."""

    async def act(self) -> str:
        return (await acts.end(self.parts, whole(self, "id"), self.actor)).message


class WindowExtend(WindowAct):
    """POST /changes/maintenance/extend: by some minutes."""

    async def act(self) -> str:
        number, longer = whole(self, "id"), timedelta(minutes=whole(self, "minutes"))
        try:
            until = moment("Until", self.field("stop")) + longer
        except OverflowError:
            raise invalid("minutes", "leads beyond the year 9999") from None
        return (await acts.extend(self.parts, number, Extension(until), self.actor)).message
