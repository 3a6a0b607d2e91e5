"""Budgets, as a language model asks for them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from server.kernel import shared_clock
from server.mcp.tool import Tool
from server.parts import Parts
from server.slo.api import answers
from server.slo.api.answers import ObjectivesAnswer
from server.slo.ledger import recount_store


class BudgetsWanted(Struct):
    """`service`: only its own. At most so many, the worst first."""

    service: Annotated[str, Meta(max_length=200)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


async def budgets(parts: Parts, asked: BudgetsWanted) -> ObjectivesAnswer:
    number, status = parts.policies.number, parts.relay.status
    held = [one for one in parts.policies.of_production if asked.service in ("", one.service)]
    async with parts.db.ask() as connection:
        exact = await recount_store.exactness(connection, [one.id for one in held], shared_clock.now())
    found = answers.objectives(number, held, status, exact)
    found.objectives = found.objectives[: asked.limit]
    shown = {one.service for one in found.objectives}
    found.services = {name: state for name, state in found.services.items() if name in shown}
    found.versions = [one for one in found.versions if one.service in shown]
    return found


TOOLS = (
    Tool(
        "budgets",
        "Objectives and error budgets",
        "How objectives stand, the worst first: state, budget left (1 untouched, below 0 overspent), burn rates, when "
        "it is exhausted at this rate, and how a new version compares with the one before.",
        BudgetsWanted,
        ObjectivesAnswer,
        budgets,
    ),
)
