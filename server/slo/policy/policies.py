"""The objectives in force here, the same on every machine.

A file whose text is new is stored as a numbered revision at start, and whenever it changes or
somebody asks (server/slo/policy/adoption.py). Each process follows the newest number, by the bus
and by polling, and the services that send: where the policy has defaults, one without an objective gets
a provisional one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.errors import ConfigurationError
from server.kernel.loop import Loop
from server.kernel.names import HOST, OTHER, is_drill
from server.kernel.settings import Environment
from server.process.process import Process
from server.slo.model.budget_policy import BudgetPolicy
from server.slo.model.objective import Objective, Policy, PolicyError
from server.slo.policy import store as policy_store
from server.slo.policy.adoption import Adopted, adopt
from server.slo.policy.file import PolicyFile
from server.slo.policy.policy import MAX_OBJECTIVES, parse
from server.slo.policy.provisional import DRILL_OVER_US, with_defaults

log = logging.getLogger("evenkeel.slo")

POLL_S = 5.0
LIMIT_S = 15.0  # for one look
LOOKED_BACK = 20  # revisions
LOOK_S = 1.0  # at the file
LOGGED = 1000  # characters


@dataclass(frozen=True, slots=True)
class Newer:
    """A policy revision, the services that send, and what is held to it: each objective that has a ledger."""

    number: int
    policy: Policy
    services: frozenset[str]
    objectives: tuple[Objective, ...]
    missing: tuple[Objective, ...]  # provisional ones whose ledger is not begun yet


class Policies:
    """One process's copy of the policy in force. `number` is 0 until `start`."""

    def __init__(self, env: Environment, db: Database, bus: Bus, process: Process | None = None) -> None:
        self.env = env
        self.db = db
        self.bus = bus
        self.number = 0
        self.objectives: tuple[Objective, ...] = ()
        self.budget_policy = BudgetPolicy()
        self.process = process
        self.file = PolicyFile(env.slo_file)
        self._in_force: Newer | None = None
        self._thresholds: dict[str, tuple[int, ...]] = {}
        self._unread = 0  # a revision that this version of Evenkeel cannot read
        self._loop = Loop("reading the policy", self._look, POLL_S, limit_s=LIMIT_S)
        self._file_loop = Loop("reading the policy file", self._look_at_file, LOOK_S, limit_s=LIMIT_S)
        self._asked = False  # for the file, by somebody
        self._alone = asyncio.Lock()  # what was read later is taken later

    def thresholds_us(self, service: str) -> tuple[int, ...]:
        """The latency thresholds to count for a service, in microseconds, rising; usually none."""
        return (DRILL_OVER_US,) if is_drill(service) else self._thresholds.get(service, ())

    def objective(self, name: str) -> Objective | None:
        """The objective of a name, if there is one."""
        return next((objective for objective in self.objectives if objective.name == name), None)

    @property
    def of_production(self) -> tuple[Objective, ...]:
        """All but those of drills, which are in no list and no budget."""
        return tuple(objective for objective in self.objectives if not objective.drill)

    async def start(self) -> None:
        """Store the file's policy if it is new, and take the newest.

        A file that cannot be used stops a first start with ConfigurationError; later
        it is reported, and the stored policy stays: a typing error stops no restart.
        """
        await self._take_file(asked=False)
        if not self.number:
            raise ConfigurationError(self.file.problem or "There is no policy.")
        self.bus.subscribe("policy", self._loop.wake)
        self._loop.start()
        self._file_loop.start()

    def take_file(self) -> None:
        """Somebody asks for the file of this machine: put it in force soon, also where it was superseded."""
        self._asked = True
        self._file_loop.wake()

    async def _take_file(self, *, asked: bool) -> None:
        """Read the file, and put it in force where it can be used."""
        source = await asyncio.to_thread(self.file.read)
        if self.process is not None:
            self.process.gauges.policy_file = self.file.digest
        adopted: Adopted | None = None
        async with self._alone:
            async with self.db.act() as connection:
                if source is not None:
                    adopted = await adopt(connection, source, author=f"host:{HOST}", asked=asked)
                found, _ = await self._begun(connection)
            self._take(found)  # not before the commit: ledger ids that were rolled back do not exist
        self._say(adopted)
        if adopted == "stored":
            await self.bus.publish("policy", self.number)

    def _say(self, adopted: Adopted | None) -> None:
        if adopted is None and self.number:
            log.error("policy revision %d stays in force, the file cannot be used: %s", self.number, self.file.problem)
        elif adopted == "stored":
            log.info("policy revision %d stored: %d objectives", self.number, len(self.objectives))
        elif adopted == "superseded":
            log.warning(
                "%s is not the policy in force: revision %d has superseded it. `python -m server slo apply` puts it in "
                "force.",
                self.file.path,
                self.number,
            )

    async def _begun(self, connection: AsyncConnection) -> tuple[Newer | None, bool]:
        """What is to be in force, with a ledger for each objective; whether one was begun for that.

        A service that has just appeared gets its provisional objective so.
        """
        found = await self._newer(connection)
        if found is None or not found.missing:
            return found, False
        await policy_store.begin_ledgers(connection, found.missing)
        log.info("ledgers begun: %s", ", ".join(objective.name for objective in found.missing)[:LOGGED])
        return await self._newer(connection), True

    async def meet(self, services: Iterable[str]) -> None:
        """Where some of these send that were not known yet, begin their provisional objectives at once."""
        here = self._in_force
        if here is None:
            return
        held = [name for name in services if is_drill(name) or self.budget_policy.defaults is not None]
        if (held and here.missing) or not here.services.issuperset(held):
            await self._look()

    def awaits(self, service: str) -> bool:
        """Whether a service has no objective, and gets a provisional one once it sends."""
        if self.budget_policy.defaults is None or service in ("", OTHER):
            return False
        return len(self.objectives) < MAX_OBJECTIVES and all(each.service != service for each in self.objectives)

    async def follow(self, connection: AsyncConnection) -> None:
        """Take the newest revision and the services that send, where they are not in force here; begin nothing."""
        self._take(await self._newer(connection))

    async def _newer(self, connection: AsyncConnection) -> Newer | None:
        """What is to be in force where it is not here yet and can be read."""
        found = await self._readable(connection, await policy_store.newest_number(connection))
        if found is None:
            return None
        number, policy = found
        services = await self._services(connection, policy)
        old = self._in_force
        if old is not None and (old.number, old.services, old.missing) == (number, services, ()):
            return None
        asked = with_defaults(policy, services, MAX_OBJECTIVES)
        ids = await policy_store.ledger_ids(connection, asked)
        begun = tuple(replace(o, id=ids[o.name, o.indicator]) for o in asked if (o.name, o.indicator) in ids)
        missing = tuple(o for o in asked if (o.name, o.indicator) not in ids)
        return Newer(number, policy, services, begun, missing)

    async def _readable(self, connection: AsyncConnection, number: int) -> tuple[int, Policy] | None:
        """The newest policy that can be read, where the newest of all is `number`; None where there is none.

        One of a newer version of Evenkeel may not be. Then the one in force here stays; at a start, the newest
        of those before it is taken.
        """
        if self._in_force is not None and number in (self.number, self._unread):
            return self.number, self._in_force.policy
        for revision in await policy_store.newest_ones(connection, LOOKED_BACK):
            try:
                policy = await asyncio.to_thread(parse, revision.source, f"policy revision {revision.number}")
            except PolicyError as error:
                log.error("policy revision %d cannot be read by this version: %s", revision.number, error)
            else:
                self._unread = 0 if revision.number == number else number
                return revision.number, policy
            if self._in_force is not None:
                self._unread = number
                return self.number, self._in_force.policy
        return None

    async def _services(self, connection: AsyncConnection, policy: Policy) -> frozenset[str]:
        """The services that send, where the policy has defaults for them, and the drills that go on."""
        drills = await policy_store.drilling_services(connection)
        if policy.budget_policy.defaults is None:
            return drills
        sending = await policy_store.sending_services(connection)
        return drills | {name for name in sending if not is_drill(name)}

    def _take(self, newer: Newer | None) -> None:
        if newer is None or newer.number < self.number:
            return
        if newer.objectives != self.objectives:
            self.objectives = newer.objectives
        self.budget_policy = newer.policy.budget_policy
        self._thresholds = newer.policy.thresholds_us()
        if self.number and newer.number != self.number:
            log.info("policy revision %d is in force, before it %d", newer.number, self.number)
        self.number = newer.number
        self._in_force = newer

    async def _look(self) -> None:
        """Take the newest where it is not in force here, and begin the ledgers that it needs."""
        async with self._alone:
            async with self.db.act() as connection:
                found, begun = await self._begun(connection)
            self._take(found)
        if begun:
            await self.bus.publish("policy", self.number)

    async def _look_at_file(self) -> None:
        """Take the file in where somebody asks for it, or where it has changed."""
        if self._asked or await asyncio.to_thread(self.file.changed):
            self._asked = False
            try:
                await self._take_file(asked=True)
            except BaseException:
                self._asked = True  # once more
                raise

    async def close(self) -> None:
        """Follow no longer."""
        await self._file_loop.close()
        await self._loop.close()
