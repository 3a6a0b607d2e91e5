"""Find: pages, services, incidents, alerts, objectives and settings by a few letters, and requests by their id."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, urlencode

from msgspec import Struct

from dashboard.request import LONGEST, everything_of
from dashboard.shared.memo import Memo
from dashboard.shared.page import Page
from dashboard.shared.shell import NAVIGATION
from server.alerts import store as alert_store
from server.alerts.alert import Alert
from server.config.registry import SETTINGS
from server.incidents import store as incident_store
from server.incidents.incident import Incident
from server.kernel.names import marked
from server.live import store as live_store
from server.parts import Parts

SHOWN = 12
NEWEST = 500  # incidents and alerts that are looked through
BESIDE = (("Alerts", "/alerts"), ("Config", "/config"), ("Connect", "/setup/connect"), ("Your account", "/account"))


class Findable(Struct, frozen=True):
    """Something that has a page. `also` is what else it is found by."""

    name: str
    kind: str
    href: str
    also: str = ""


class FindRecords(Struct):
    """What only the database knows."""

    services: list[str]
    incidents: list[Incident]
    alerts: list[Alert]


async def read(parts: Parts) -> FindRecords:
    async with parts.db.ask() as connection:
        return FindRecords(
            [known.name for known in await live_store.services(connection)],
            await incident_store.listed(connection, open_only=False, service=None, before=None, limit=NEWEST),
            await alert_store.listed(connection, "all", limit=NEWEST),
        )


RECORDS = Memo(read, kept_s=2)


class FindView(Struct):
    """What was asked for, and what is named so."""

    q: str
    places: list[Findable]


def found(q: str, places: Iterable[Findable]) -> list[Findable]:
    """The places that hold every word of `q`: those whose name begins with it first, then as they come."""
    words = q.casefold().split()
    start = " ".join(words)
    holding = [place for place in places if all(word in f"{place.name} {place.also}".casefold() for word in words)]
    return sorted(holding, key=lambda place: not place.name.casefold().startswith(start))


async def places(parts: Parts) -> list[Findable]:
    """Everything that has a page: what is open first. With the database away what this process holds of it."""
    kept = await RECORDS.get(parts) or FindRecords([], [], [])
    live = parts.relay.picture.services if parts.relay.picture else []
    services = sorted({*kept.services, *(service.name for service in live)})
    return [
        *(Findable(item.name, "page", item.href) for item in NAVIGATION),
        *(Findable(name, "page", href) for name, href in BESIDE),
        *(incident_place(one) for one in kept.incidents if one.open),
        *(Findable(name, "service", f"/services/{quote(name, safe='')}") for name in services),
        *(alert_place(one) for one in kept.alerts if one.state != "resolved"),
        *(objective_place(one.name, one.service) for one in parts.policies.of_production),
        *(Findable(one.title, "setting", f"/config#{one.name}", one.name) for one in SETTINGS.values()),
        *(incident_place(one) for one in kept.incidents if not one.open),
        *(alert_place(one) for one in kept.alerts if one.state == "resolved"),
    ]


def incident_place(one: Incident) -> Findable:
    return Findable(
        f"{'DRILL ' if one.drill else ''}{one.title} · #{one.id}",
        "incident",
        f"/incidents/{one.id}",
        f"sev-{one.severity} {one.service}",
    )


def alert_place(one: Alert) -> Findable:
    name = marked(one.service, f"{one.objective} · alert {one.id}")
    return Findable(name, f"alert, {one.state}", f"/alerts/{one.id}", one.service)


def objective_place(name: str, service: str) -> Findable:
    return Findable(name, "objective", f"/objectives/{quote(name, safe='')}", service)


async def carried(parts: Parts, q: str) -> bool:
    """Whether an outcome or a log line carries it as request id or trace id."""
    found, own = await everything_of(parts, q)
    return bool(found.outcomes or found.lines or own)


class FindPage(Page):
    """GET /find?q=…, where the search box leads; to the place itself where there is but one."""

    async def get(self) -> None:
        q = self.get_query_argument("q", "").strip()[:LONGEST]
        view = FindView(q, found(q, await places(self.parts)) if q else [])
        if q and not view.places and await carried(self.parts, q):
            self.see_other(f"/requests?{urlencode({'id': q})}")
        elif len(view.places) == 1:
            self.see_other(view.places[0].href)
        else:
            self.show("find.html", view, title="Find · Evenkeel", page="find")


class FindPart(Page):
    """GET /find/places?q=…: the list of the palette, while its words are typed."""

    leads_to_sign_in = False

    async def get(self) -> None:
        q = self.get_query_argument("q", "").strip()[:LONGEST]
        self.show("find/places.html", FindView(q, found(q, await places(self.parts))[:SHOWN]))
