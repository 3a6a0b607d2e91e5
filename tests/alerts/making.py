"""Evidence, objectives and a board for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from server.alerts.alert import Alert
from server.alerts.board import Board
from server.alerts.notice import Notice
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.settings import read_environment
from server.slo.model.budget_policy import BudgetPolicy
from server.slo.model.objective import Objective
from server.slo.model.status import Evidence
from server.slo.model.tiers import Urgency
from server.slo.policy.policies import Policies
from tests.conftest import variables
from tests.live.rollups import lead
from tests.live.writing import database

NOW = 1_790_000_000.0


def clear(service: str = "checkout", known: bool = True) -> Evidence:
    """Nothing burns; at the time 0."""
    return Evidence(
        objective=f"{service}-availability",
        service=service,
        kind="availability",
        target=0.999,
        threshold_ms=None,
        at=0,
        known=known,
        tier=None,
        urgency=None,
        due=False,
        onset=None,
        onset_method=None,
        bad=0,
        total=0,
        bad_ratio=None,
        spent=0,
        budget_left=0.5,
    )


def burning(
    service: str = "checkout",
    *,
    bad_ratio: float = 0.041,
    urgency: Urgency = "page",
    due: bool = True,
    tier: str = "fast",
    known: bool = True,
) -> Evidence:
    """It burns since 3 s before the time 0."""
    said = clear(service, known)
    return replace(
        said,
        tier=tier,
        urgency=urgency,
        due=due,
        onset=-3,
        onset_method="change point",
        bad=41,
        total=1000,
        bad_ratio=bad_ratio,
        likely="version 5f2c1a9",
    )


def at(said: Evidence, now: float) -> Evidence:
    """The same, said at another time."""
    return replace(said, at=now, onset=None if said.onset is None else now + said.onset)


def objective(service: str) -> Objective:
    """The objective that `clear` and `burning` speak of."""
    return Objective(f"{service}-availability", service, service, "availability", Fraction(999, 1000), None, 28)


class Told:
    """Keeps what it was told, or fails."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.fails = False

    async def tell(self, connection: AsyncConnection, notices: Sequence[Notice]) -> None:
        self.notices += notices
        if self.fails:
            raise OSError("killed here")

    def events(self) -> list[tuple[str, str]]:
        """What was told, by service, since last asked."""
        found = [(notice.alert.service, notice.event) for notice in self.notices]
        self.notices.clear()
        return found


class Second:
    """A board of its own in a term, and its seconds."""

    def __init__(self, db: Database, policies: Policies, told: Told, term: int = 1) -> None:
        self.said: list[Evidence] = []
        self.told = told
        self.term = term
        self.board = Board(db, policies, lambda: self.said, told.tell)

    async def at(self, now: float, *said: Evidence) -> list[Alert]:
        """One second: what is open, or was a moment ago."""
        self.said = [at(one, now) for one in said]
        shown = await self.board.step(self.term, now)
        assert all(alert.id for alert in shown)
        return shown


@asynccontextmanager
async def board(
    url: str, services: Sequence[str] = ("checkout",), policy: BudgetPolicy | None = None, term: int = 1
) -> AsyncIterator[tuple[Second, Policies]]:
    """A board whose lease is in `term`, over objectives of these services."""
    lead(url, term)
    async with database(url) as db:
        bus = Bus(db, None)
        policies = Policies(read_environment(variables(url, Path("/tmp"))), db, bus)
        policies.objectives = tuple(objective(name) for name in services)
        policies.budget_policy = policy or BudgetPolicy()
        yield Second(db, policies, Told(), term), policies
        await bus.close()
