"""Ship? on the page of a service: what the gate says to a deploy now, and lifting it."""

from __future__ import annotations

from msgspec import Struct

from dashboard.shared.local import local_address
from dashboard.shared.memo import Memos
from dashboard.shared.page import Page
from dashboard.shared.rendering import segment
from server.config.registry import number
from server.gate import overrides
from server.gate.answer import Override, Question, cautious
from server.gate.asking import ServiceRecord, decide, live_facts, read_record
from server.gate.overrides import MINUTES_MAX, OverrideAsked
from server.gate.ship import DEPLOYS_DAYS, DeployHours, Ship, rule_sentences, ship
from server.gate.store import deploy_costs
from server.kernel import shared_clock
from server.kernel.errors import invalid
from server.parts import Parts
from server.slo.model.budget_policy import KINDS

MINUTES = ((15, "15 min"), (60, "1 h"), (240, "4 h"), (1440, "24 h"))
BARS = {"allow": "ok", "deny": "burning", "unknown": "blind"}  # the colour beside the words


class ShipView(Struct):
    """What the page shows. `ship` None: the database does not answer."""

    service: str
    ship: Ship | None
    rules: list[str]
    bar: str
    overrides: list[Override]  # of every kind of change
    minutes: tuple[tuple[int, str], ...] = MINUTES


async def load_record(parts: Parts, service: str) -> ServiceRecord:
    async with parts.db.ask() as connection:
        return await read_record(connection, parts.policies, Question(service, "deploy"), shared_clock.now())


async def load_deploys(parts: Parts, service: str) -> dict[str, list[DeployHours]]:
    """By objective, what the deploys of the last days cost."""
    held, now = [each for each in parts.policies.objectives if each.service == service], shared_clock.now()
    async with parts.db.ask() as connection:
        ids = [each.id for each in held]
        found = await deploy_costs(connection, service, ids, now - DEPLOYS_DAYS * 86_400, now)
    return {each.name: found[each.id] for each in held}


RECORDS = Memos(load_record, kept_s=3)
DEPLOYS = Memos(load_deploys, kept_s=60)  # thousands of deploys take a second


async def ship_view(parts: Parts, service: str, now: float) -> ShipView:
    """The rule runs each second over the live picture; what the database says is read every few seconds."""
    record, deploys = await RECORDS.get(parts, service), await DEPLOYS.get(parts, service)
    if record is None:
        return ShipView(service, None, [], "blind", [])
    answer = decide(parts.relay, parts.policies, Question(service, "deploy"), record, now)
    name = answer.budget.objective if answer.budget else ""
    objectives = live_facts(parts.relay, service, now).objectives
    found = ship(answer, objectives, (deploys or {}).get(name, []), record.spending.get(name, []), now)
    found.version = parts.relay.status.versions.get(service) if parts.relay.status else None
    bar = "at_risk" if cautious(answer.answer, answer.state) else BARS[answer.answer]
    held = [one for one in record.overrides if one.expires_at.timestamp() > now]
    return ShipView(service, found, rule_sentences(answer), bar, held)


class OverrideAct(Page):
    """POST /gate/override: lift the gate for one kind of change, and go back to where it was pressed."""

    async def post(self) -> None:
        assert self.identity is not None
        service, kind = self.get_body_argument("service", ""), self.get_body_argument("kind", "deploy")
        minutes = number(self.get_body_argument("minutes", "60"))
        if kind not in KINDS:
            raise invalid("kind", f"give one of {', '.join(KINDS)}")
        if minutes is None or not 1 <= minutes <= MINUTES_MAX:
            raise invalid("minutes", f"give a whole number from 1 to {MINUTES_MAX}")
        asked = OverrideAsked(service, kind, self.get_body_argument("reason", ""), minutes)
        done = await overrides.override(self.parts, self.identity, asked, self.request_id)
        self.say(done.message)
        go_back(self, service)


class RevokeAct(Page):
    """POST /gate/revoke: the gate holds again."""

    async def post(self) -> None:
        assert self.identity is not None
        override_id = number(self.get_body_argument("id", ""))
        if override_id is None or override_id >= 2**31:
            raise invalid("id", "give the number of an override")
        done = await overrides.revoke(self.parts, self.identity, override_id, self.request_id)
        self.say(done.message)
        go_back(self, done.override.service)


def go_back(page: Page, service: str) -> None:
    """To where the button was, which shows at once what came of it."""
    RECORDS.forget(service)
    page.see_other(local_address(page.get_body_argument("next", ""), f"/services/{segment(service)}"))
