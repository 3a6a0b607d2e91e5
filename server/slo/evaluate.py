"""Each second: how every objective stands, for the picture."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from server.db import Database
from server.live import picture_store
from server.live.picture import Picture, ServicePicture
from server.slo.budget import budget_left, budget_range, exhausted_in_s
from server.slo.burn import burn_rate
from server.slo.counts import Counts
from server.slo.objective import Objective
from server.slo.policies import Policies
from server.slo.refused import Refused
from server.slo.rules import H1, M5, WINDOWS_S, deciding, judged, state_of, worst
from server.slo.senders import ALL_ARRIVES, Senders, senders_of
from server.slo.status import BurnWindow, ObjectiveStatus, State, Status
from server.slo.view import status_in
from server.slo.windows import ByWindow, Windows


class Evaluation:
    """The tick's hook. Between ticks it keeps the ledger's sums and since when each state holds."""

    def __init__(self, db: Database, policies: Policies) -> None:
        self.db = db
        self.policies = policies
        self.windows = Windows(WINDOWS_S)
        self.refused = Refused()
        self.last: Status | None = None

    async def evaluate(self, services: list[ServicePicture], now: float) -> msgspec.Raw:
        """The Status of all objectives as JSON."""
        async with self.db.ask() as connection:
            if self.last is None:
                self.last = await last_status(connection)
            objectives, number = self.policies.objectives, self.policies.number
            counts = await self.windows.read(connection, objectives, now)
            senders = senders_of(services, await self.refused.read(connection, services, now))
        states = [objective_status(o, counts[o.id], senders.get(o.service, ALL_ARRIVES), now) for o in objectives]
        keep_since(states, self.last)
        self.last = Status(number, now, states, service_states(states, senders))
        return msgspec.Raw(msgspec.json.encode(self.last))


async def last_status(connection: AsyncConnection) -> Status | None:
    """What the watch before this one published, so that `since` outlives it."""
    stored = await picture_store.read(connection)
    return status_in(msgspec.json.decode(stored.body, type=Picture)) if stored else None


def objective_status(objective: Objective, counts: ByWindow, senders: Senders, now: float) -> ObjectiveStatus:
    """One objective, in its state since now."""
    whole, allowed = counts[objective.window_s], objective.allowed
    left, burn_1h = budget_left(whole, allowed), burn_rate(counts[H1], allowed)
    span = budget_range(whole, senders.unseen, allowed) if senders.state else None
    tier = deciding(counts, allowed)
    return ObjectiveStatus(
        name=objective.name,
        service=objective.service,
        kind=objective.kind,
        target=float(objective.target),
        threshold_ms=None if objective.threshold_us is None else objective.threshold_us / 1000,
        window_days=objective.window_days,
        state=state_of(counts, whole, allowed, senders.state),
        good=whole.good,
        bad=whole.bad,
        excluded=whole.excluded,
        budget_left=left,
        budget_worst=span[0] if span else None,
        budget_best=span[1] if span else None,
        burn_5m=burn_rate(counts[M5], allowed),
        burn_1h=burn_1h,
        exhausted_in_s=exhausted_in_s(left, burn_1h, objective.window_s),
        since=now,
        windows=[burn_window(span_s, counts[span_s], allowed) for span_s in WINDOWS_S],
        decided_by=[tier.long_s, tier.short_s] if tier else [],
        judged=judged(whole, allowed),
    )


def burn_window(span_s: int, counts: Counts, allowed: Fraction) -> BurnWindow:
    """One of the windows that decide."""
    return BurnWindow(span_s, counts.bad, counts.total, burn_rate(counts, allowed))


def keep_since(states: list[ObjectiveStatus], last: Status | None) -> None:
    """A state that held before has held since then."""
    before = {status.name: status for status in last.objectives} if last else {}
    for status in states:
        old = before.get(status.name)
        if old is not None and old.state == status.state:
            status.since = old.since


def service_states(objectives: list[ObjectiveStatus], senders: Mapping[str, Senders]) -> dict[str, State]:
    """The worst state of each service that sends or has an objective."""
    found = {name: {each.state} if each.state else set[State]() for name, each in senders.items()}
    for objective in objectives:
        found.setdefault(objective.service, set()).add(objective.state)
    return {name: worst(states) for name, states in sorted(found.items())}
