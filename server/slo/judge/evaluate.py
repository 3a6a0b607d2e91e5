"""Each second: how every objective stands, for the picture."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy

from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.db import Database
from server.live import refusals_store, version_store
from server.live.refusals import refusals
from server.live.service import LiveService
from server.process.glance import Presence
from server.slo.judge.judgement import (
    ALL_ARRIVES,
    Observation,
    Senders,
    bounded_onset,
    evidence_of,
    objective_status,
    senders_of,
    spans,
)
from server.slo.judge.streams import SILENT, Streams
from server.slo.judge.versions import version_verdicts
from server.slo.ledger import ledger_store, recount_store
from server.slo.ledger.windows import REREAD_SHARE, ByWindow, LedgerWindows
from server.slo.model.objective import Objective
from server.slo.model.status import Evidence, ObjectiveStatus, State, Status, VersionVerdict, by_name, worst
from server.slo.policy.policies import Policies

LATELY_S = 3600  # what limits refused within it widens the range of a budget while a service is partial
REREAD_S = 5.0
WAIT_S = 0.1  # for what is read beside the tick


class RefusedTraffic:
    """The items of the last hour that were refused or lost, by service, read every few seconds while there are any."""

    def __init__(self) -> None:
        self.items: dict[str, int] = {}
        self._read_at = float("-inf")

    async def read(self, connection: AsyncConnection, services: Iterable[LiveService], now: float) -> dict[str, int]:
        """By service; empty while nobody is refused."""
        if not any(service.partial or service.lost_items for service in services):
            return {}
        if not 0 <= now - self._read_at < REREAD_S:
            rows = await refusals_store.intake(connection, now - LATELY_S)
            senders = await refusals_store.senders(connection, now - LATELY_S)
            found = refusals(rows, senders)
            self.items = {name: one.refused_items + one.lost_items for name, one in found.items()}
            self._read_at = now
        return self.items


class Versions:
    """The verdicts on new versions, read every few seconds: for at most a twentieth of the time, and beside the tick
    where that takes long, as after a deploy of hundreds of services."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.verdicts: dict[str, VersionVerdict] = {}
        self._read_at = float("-inf")
        self._keep_s = REREAD_S
        self._reading: asyncio.Task[None] | None = None

    async def read(self, now: float) -> dict[str, VersionVerdict]:
        """By service, as they were read last."""
        if self._reading is None and not 0 <= now - self._read_at < self._keep_s:
            self._reading = asyncio.create_task(self._read(now), name="versions")
        if self._reading is not None:
            await asyncio.wait({self._reading}, timeout=WAIT_S)
            if self._reading.done():
                done, self._reading = self._reading, None
                done.result()  # what failed fails this evaluation
        return self.verdicts

    async def _read(self, now: float) -> None:
        self._read_at, began = now, time.monotonic()
        async with self.db.ask() as connection:
            rows = await version_store.version_counts(connection, now)
        self.verdicts = version_verdicts(rows, now)
        self._keep_s = max(REREAD_S, REREAD_SHARE * (time.monotonic() - began))


class Evaluation:
    """The tick's hook. Between ticks it keeps the ledger's sums, the streams, and since when each state holds."""

    def __init__(self, db: Database, policies: Policies, seen: Presence | None = None) -> None:
        self.db = db
        self.policies = policies
        self.seen = seen or Presence()
        self._mark: tuple[object, ...] | None = None  # of what the counts depend on, at the last evaluation
        self._changed_at = 0.0  # when it was another one
        self.windows = LedgerWindows(spans(()))
        self.streams = Streams()
        self.refused = RefusedTraffic()
        self.versions = Versions(db)
        self._unfinished: set[int] = set()  # ledgers that were being counted anew at the last evaluation
        self.last: Status | None = None
        self.evidence: list[Evidence] = []  # of the last evaluation, for the alerts

    async def evaluate(self, services: Sequence[LiveService], now: float, before: Status | None = None) -> Status:
        """How all objectives stand. `before`: how they stood in the last picture, so that it goes on from there where
        another watch made that one."""
        await self.policies.meet(service.name for service in services)
        objectives, number = self.policies.objectives, self.policies.number
        needed = spans(tier for objective in objectives for tier in objective.tiers)
        if needed != self.windows.spans:
            self.windows = LedgerWindows(needed)
        if self.last is None and before is not None:
            self._recall(objectives, before)
        counts, senders = await self._counted(services, objectives, now)
        unfinished = self._unfinished
        versions = await self.versions.read(now)
        verdicts = self.streams.verdicts(objectives, int(now) + 1)
        observed = [
            Observation(
                o,
                counts[o.id],
                senders.get(o.service, ALL_ARRIVES),
                verdicts.get(o.id, SILENT),
                o.id in unfinished,
            )
            for o in objectives
        ]
        states = [objective_status(each, now) for each in observed]
        risk_versions(states, versions)
        keep_since(states, self.last)
        remembered = self.streams.for_next_watch()
        memories = {each.name: remembered[each.id] for each in objectives if each.id in remembered}
        self.last = Status(number, now, states, service_states(states, senders, versions), memories, versions)
        named, paging = {service.name: service for service in services}, self.policies.budget_policy.paging
        self.evidence = [
            evidence_of(each, status, named.get(status.service), paging, now, versions.get(status.service))
            for each, status in zip(observed, states, strict=True)
        ]
        await self._bound_onsets(observed)
        return self.last

    async def _counted(
        self, services: Sequence[LiveService], objectives: tuple[Objective, ...], now: float
    ) -> tuple[dict[int, ByWindow], dict[str, Senders]]:
        """The counts of the objectives, and whose senders were refused; read where anything has changed."""
        mark = self.seen.mark(*ledger_store.SEEN)
        if mark is None or mark != self._mark:
            self._mark, self._changed_at = None, now
        partial = any(service.partial for service in services)
        quiet = self._mark is not None and not partial and self.seen.nothing(ledger_store.RECOUNTED)
        if quiet and not self._unfinished and self.windows.lasts(objectives, now, self._changed_at):
            return self.windows.counts(objectives, now), senders_of(services, {})
        async with self.db.ask() as connection:
            unfinished = await recount_store.unfinished(connection, objectives)
            self.windows.forget(self._unfinished - unfinished)
            self._unfinished = unfinished
            counts = await self.windows.read(connection, objectives, now)
            refused = await self.refused.read(connection, services, now)
        self._mark = mark
        return counts, senders_of(services, refused)

    async def _bound_onsets(self, observed: Sequence[Observation]) -> None:
        """Move each onset that only a window tells to the first failure in it."""
        told = {
            each.objective.id: int(one.onset)
            for each, one in zip(observed, self.evidence, strict=True)
            if one.onset_method == "window" and one.onset is not None
        }
        if not told:
            return
        async with self.db.ask() as connection:
            first = await ledger_store.first_failures(connection, told)
        self.evidence = [
            bounded_onset(one, each, first.get(each.objective.id)) if each.objective.id in told else one
            for each, one in zip(observed, self.evidence, strict=True)
        ]

    def _recall(self, objectives: Iterable[Objective], before: Status) -> None:
        """Go on from how the watch before this one left them."""
        self.last = before
        for objective in objectives:
            if objective.name in before.memories:
                memory = deepcopy(before.memories[objective.name])  # the streams go on in it, the picture does not
                self.streams.recall(objective.id, float(objective.allowed), memory)


def keep_since(states: list[ObjectiveStatus], last: Status | None) -> None:
    """A state that held before has held since then."""
    before = by_name(last)
    for status in states:
        old = before.get(status.name)
        if old is not None and old.state == status.state:
            status.since = old.since


def risk_versions(states: Iterable[ObjectiveStatus], versions: Mapping[str, VersionVerdict]) -> None:
    """An objective whose service runs a version that surely fails more is at least at risk."""
    for status in states:
        verdict = versions.get(status.service)
        if verdict is not None and verdict.worse and status.kind == "availability":
            status.state = worst({status.state, "at_risk"})


def service_states(
    objectives: list[ObjectiveStatus], senders: Mapping[str, Senders], versions: Mapping[str, VersionVerdict]
) -> dict[str, State]:
    """The worst state of each service that sends or has an objective."""
    found = {name: {each.state} if each.state else set[State]() for name, each in senders.items()}
    for name, verdict in versions.items():
        if verdict.worse:
            found.setdefault(name, set()).add("at_risk")
    for objective in objectives:
        found.setdefault(objective.service, set()).add(objective.state)
    return {name: worst(states) for name, states in sorted(found.items())}
