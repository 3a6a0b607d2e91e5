"""Now: is it broken, how badly and for whom, since when, what changed."""

from __future__ import annotations

from msgspec import Struct

from dashboard.now.cards import Card, cards
from dashboard.now.headline import Headline, headline, refused
from dashboard.now.rows import LiveRow, draw, service_rows
from dashboard.now.side import Side, side
from dashboard.shared.live import Ask, LivePage, live_page
from dashboard.shared.page import Page
from server.ingest.first_outcome import first_outcome
from server.kernel.names import OWN
from server.parts import Parts
from server.picture.picture import RunningMaintenance

SHOWN = 20  # rows, before the rest is folded
DRAWN = 60  # rows with charts, which are made anew every second


class NowView(Struct):
    """What the Now page shows. `empty`: nobody but Evenkeel itself has sent an outcome."""

    headline: Headline
    cards: list[Card]
    rows: list[LiveRow]  # but those on a card
    refusals: dict[str, str]  # by service: what a limit refuses of it, in a sentence
    folded: int  # rows that are not in trouble and not shown
    others: str  # `6 others OK`, on a phone in place of the rows not in trouble
    all: bool
    empty: bool
    command: str  # that sends a first outcome
    side: Side
    maintenance: list[RunningMaintenance]  # that runs

    def maintained(self, service: str) -> RunningMaintenance | None:
        """The window that a service is in; of several the one that ends last."""
        return next((one for one in reversed(self.maintenance) if service in one.services), None)


async def now_view(parts: Parts, ask: Ask, now: float) -> NowView:
    """The page from the picture that this process holds."""
    picture = parts.relay.picture
    everyone = service_rows(picture)
    burning = await cards(parts, everyone, now)
    on_cards = {card.row.name for card in burning} | {one.row.name for card in burning for one in card.symptoms}
    rows = [row for row in everyone if row.name not in on_cards]
    everything = ask.get("all") == "1"
    shown = rows if everything else rows[: max(SHOWN, sum(row.troubled for row in rows))]
    draw(shown[:DRAWN], int(picture.at) if picture else 0)
    return NowView(
        headline=headline(picture, everyone),
        cards=burning,
        rows=shown,
        refusals={row.name: refused(row.service) for row in everyone if row.service.partial},
        folded=len(rows) - len(shown),
        others=others([row for row in everyone if not row.drill]),
        all=everything,
        empty=all(row.name == OWN or row.drill for row in everyone),
        command=first_outcome(parts.env.public_url),
        side=await side(parts, picture),
        maintenance=picture.maintenance if picture else [],
    )


def others(rows: list[LiveRow]) -> str:
    """`6 others OK, 1 without an objective`: each state is named, so that nothing is called OK that is not."""
    words = {"ok": "OK", "no_traffic": "without traffic", "no_objective": "without an objective"}
    counted = [(sum(row.look.state == state for row in rows), word) for state, word in words.items()]
    shown = [(n, word) for n, word in counted if n]
    if not shown:
        return ""
    (first, word), *rest = shown
    noun = (
        ("others" if first > 1 else "other")
        if any(r.troubled for r in rows)
        else "services"
        if first > 1
        else "service"
    )
    return ", ".join([f"{first} {noun} {word}", *(f"{n} {word}" for n, word in rest)])


def now_title(view: NowView) -> str:
    """The tab's title: the mark first, so that it is seen in a row of tabs."""
    look = view.headline.look
    return f"{look.mark + ' ' if look else ''}{view.headline.text} · Evenkeel"


NOW = live_page(
    LivePage(
        name="now",
        template="now.html",
        context=now_view,
        regions={
            "headline": "now/headline.html",
            "cards": "now/cards.html",
            "services": "now/services.html",
            "side": "now/side.html",
        },
        args=("all",),
        title="Now · Evenkeel",
        titles=now_title,
    )
)


class NowPage(Page):
    """GET /."""

    async def get(self) -> None:
        await self.show_live(NOW)
