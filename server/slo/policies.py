"""The objectives in force here, the same on every machine.

At start the file is stored as a numbered revision where it differs from the newest;
from then on each process follows the newest number, by the bus and by polling.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from dataclasses import dataclass, replace

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from server.bus import Bus
from server.db import Database
from server.errors import ConfigurationError
from server.host import HOST
from server.settings import Environment
from server.slo import policy_store
from server.slo.marked_yaml import MAX_BYTES
from server.slo.objective import Objective, Policy
from server.slo.policy import parse
from server.slo.problems import PolicyError, Problem

log = logging.getLogger("evenkeel.slo")

POLL_S = 5.0


@dataclass(frozen=True, slots=True)
class Newer:
    """A policy revision, and its objectives' ledgers by name and indicator."""

    number: int
    policy: Policy
    ids: dict[tuple[str, str], int]


class Policies:
    """One process's copy of the policy in force. `number` is 0 until `start`."""

    def __init__(self, env: Environment, db: Database, bus: Bus) -> None:
        self.env = env
        self.db = db
        self.bus = bus
        self.number = 0
        self.objectives: tuple[Objective, ...] = ()
        self.file_problem: str | None = None  # what is wrong with the file, while a stored revision is used
        self._thresholds: dict[str, tuple[int, ...]] = {}
        self._unread = 0  # a revision that this version of Evenkeel cannot read
        self._signal = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def thresholds_us(self, service: str) -> tuple[int, ...]:
        """The latency thresholds to count for a service, in microseconds, rising; usually none."""
        return self._thresholds.get(service, ())

    def objective(self, name: str) -> Objective | None:
        """The objective of a name, if there is one."""
        return next((objective for objective in self.objectives if objective.name == name), None)

    async def start(self) -> None:
        """Store the file's policy if it is new, and take the newest.

        A file that cannot be used stops a first start with ConfigurationError; later
        it is reported, and the stored policy stays: a typing error stops no restart.
        """
        source = await asyncio.to_thread(self._read)
        async with self.db.act() as connection:
            new = source is not None and await self._adopt(connection, source)
            found = await self._newer(connection)
        self._take(found)  # not before the commit: ledger ids that were rolled back do not exist
        if not self.number:
            raise ConfigurationError(self.file_problem or "There is no policy.")
        if source is None:
            log.error("policy revision %d stays in force, the file cannot be used: %s", self.number, self.file_problem)
        if new:
            log.info("policy revision %d stored: %d objectives", self.number, len(self.objectives))
            await self.bus.publish("policy", self.number)
        self.bus.subscribe("policy", lambda number: self._signal.set())
        self._task = asyncio.create_task(self._follow_forever(), name="policy")

    def _read(self) -> str | None:
        """The file's text if it can be used."""
        path = self.env.slo_file
        try:
            with path.open("rb") as file:
                source = file.read(MAX_BYTES + 1).decode()
            parse(source, str(path))
        except OSError as error:
            self.file_problem = f"{path}: {error.strerror}. Set SLO_FILE to the file with the objectives."
        except UnicodeDecodeError:
            self.file_problem = str(PolicyError([Problem(1, "", "not UTF-8 text")], str(path)))
        except PolicyError as error:
            self.file_problem = str(error)
        else:
            self.file_problem = None
            return source
        return None

    async def _adopt(self, connection: AsyncConnection, source: str) -> bool:
        digest = hashlib.sha256(source.encode()).hexdigest()
        return await policy_store.adopt(connection, source, digest, HOST, parse(source).objectives)

    async def follow(self, connection: AsyncConnection) -> None:
        """Take the newest revision if it is not the one in force here."""
        self._take(await self._newer(connection))

    async def _newer(self, connection: AsyncConnection) -> Newer | None:
        """The newest revision where it is not the one in force here and can be read."""
        number = await policy_store.newest_number(connection)
        if number in (self.number, self._unread):
            return None
        revision = await policy_store.newest(connection)
        try:
            policy = parse(revision.source, f"policy revision {revision.number}")
        except PolicyError as error:
            self._unread = revision.number
            log.error("policy revision %d cannot be read by this version: %s", revision.number, error)
            return None
        return Newer(revision.number, policy, await policy_store.ledger_ids(connection, policy.objectives))

    def _take(self, newer: Newer | None) -> None:
        if newer is None:
            return
        objectives = newer.policy.objectives
        self.objectives = tuple(replace(o, id=newer.ids[o.name, o.indicator]) for o in objectives)
        self._thresholds = newer.policy.thresholds_us()
        if self.number:
            log.info("policy revision %d is in force, before it %d", newer.number, self.number)
        self.number = newer.number

    async def _follow_forever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._signal.wait()
            self._signal.clear()
            try:
                async with self.db.act() as connection:
                    await self.follow(connection)
            except (SQLAlchemyError, OSError) as error:
                log.warning("policy not read, trying again: %s", error)

    async def close(self) -> None:
        """Follow no longer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
