"""Each second: how every objective stands, for the picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.db import Database
from server.live import refusals_store
from server.live.refusals import refusals
from server.live.service import LiveService
from server.picture import store as picture_store
from server.picture.picture import Picture
from server.slo.judge.judgement import ALL_ARRIVES, Seen, Senders, evidence_of, objective_status, senders_of
from server.slo.judge.rules import spans
from server.slo.judge.streams import SILENT, Streams
from server.slo.judge.view import by_name, status_in
from server.slo.ledger import recount_store
from server.slo.ledger.windows import Windows
from server.slo.model.objective import Objective
from server.slo.model.status import Evidence, ObjectiveStatus, State, Status, worst
from server.slo.policy.policies import Policies

LATELY_S = 3600  # what limits refused within it widens the range of a budget while a service is partial
REREAD_S = 5.0


class Refused:
    """The refused items of the last hour by service, read every few seconds while any service is partial."""

    def __init__(self) -> None:
        self.items: dict[str, int] = {}
        self._read_at = float("-inf")

    async def read(self, connection: AsyncConnection, services: Iterable[LiveService], now: float) -> dict[str, int]:
        """By service; empty while nobody is refused."""
        if not any(service.partial for service in services):
            return {}
        if not 0 <= now - self._read_at < REREAD_S:
            rows = await refusals_store.intake(connection, now - LATELY_S)
            senders = await refusals_store.senders(connection, now - LATELY_S)
            self.items = {name: found.refused_items for name, found in refusals(rows, senders).items()}
            self._read_at = now
        return self.items


class Evaluation:
    """The tick's hook. Between ticks it keeps the ledger's sums, the streams, and since when each state holds."""

    def __init__(self, db: Database, policies: Policies) -> None:
        self.db = db
        self.policies = policies
        self.windows = Windows(spans(()))
        self.streams = Streams()
        self.refused = Refused()
        self.last: Status | None = None
        self.evidence: list[Evidence] = []  # of the last evaluation, for the alerts

    async def evaluate(self, services: list[LiveService], now: float) -> msgspec.Raw:
        """The Status of all objectives as JSON."""
        objectives, number = self.policies.objectives, self.policies.number
        needed = spans(tier for objective in objectives for tier in objective.tiers)
        if needed != self.windows.spans:
            self.windows = Windows(needed)
        async with self.db.ask() as connection:
            if self.last is None:
                self.last = await last_status(connection)
                self._recall(objectives)
            counts = await self.windows.read(connection, objectives, now)
            unfinished = await recount_store.unfinished(connection)
            senders = senders_of(services, await self.refused.read(connection, services, now))
        verdicts = self.streams.verdicts(objectives, int(now) + 1)
        seen = [
            Seen(
                o,
                counts[o.id],
                senders.get(o.service, ALL_ARRIVES),
                verdicts.get(o.id, SILENT),
                o.id in unfinished,
            )
            for o in objectives
        ]
        states = [objective_status(each, now) for each in seen]
        keep_since(states, self.last)
        kept = self.streams.kept()
        memories = {each.name: kept[each.id] for each in objectives if each.id in kept}
        self.last = Status(number, now, states, service_states(states, senders), memories)
        named, paging = {service.name: service for service in services}, self.policies.budget_policy.paging
        self.evidence = [
            evidence_of(each, status, named.get(status.service), paging, now)
            for each, status in zip(seen, states, strict=True)
        ]
        return msgspec.Raw(msgspec.json.encode(self.last))

    def _recall(self, objectives: Iterable[Objective]) -> None:
        memories = self.last.memories if self.last else {}
        for objective in objectives:
            if objective.name in memories:
                self.streams.recall(objective.id, float(objective.allowed), memories[objective.name])


async def last_status(connection: AsyncConnection) -> Status | None:
    """What the watch before this one published, so that `since` outlives it."""
    stored = await picture_store.read(connection)
    return status_in(msgspec.json.decode(stored.body, type=Picture)) if stored else None


def keep_since(states: list[ObjectiveStatus], last: Status | None) -> None:
    """A state that held before has held since then."""
    before = by_name(last)
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
