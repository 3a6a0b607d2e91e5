"""The sender: claims what waits in the outbox, sends it, and marks what came of it.

At least once: a message is marked after it has arrived, so one that was sent by a
process that died before marking is sent again, under the same key.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random

from sqlalchemy.exc import SQLAlchemyError

from server.kernel import shared_clock
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.settings import Environment
from server.kernel.text import first_line
from server.notify import outbox, outbox_store
from server.notify.delivery import Attempt, deliver
from server.notify.kind import Parcel
from server.notify.outbox_store import Claimed
from server.notify.retry import GIVE_UP_S, REFUSED_S, delay_s, goes_on
from server.telemetry import metrics

log = logging.getLogger("evenkeel.notify")

LOOK_S = 1.0  # between two looks of the watch at whether anything is due
EVERY_S = 10.0  # and whatever that says
ESCALATE_EVERY_S = 5.0
FORGET_EVERY_S = 3600.0
LIMIT_S = math.inf  # it goes on for as long as its process leads; each try has an end of its own
PARALLEL = 32
EACH = 4  # of them to one target


class Sender:
    """The job `notify`. Made once a process; it sends while `run` runs."""

    def __init__(self, env: Environment, db: Database, bus: Bus) -> None:
        self.env = env
        self.db = db
        self._sending: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        bus.subscribe(outbox.TOPIC, lambda _: self._wake.set())

    async def run(self, term: int) -> None:
        """Send what is due, now and then whenever something is."""
        try:
            while True:
                self._wake.clear()
                for claimed in await self._claim():
                    task = asyncio.create_task(self._send(claimed), name=f"notify {claimed.key}")
                    self._sending.add(task)
                    task.add_done_callback(self._ended)
                await self._until_due()
        finally:
            # What is cut off here is sent again when its claim ends.
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)

    async def look(self, term: int) -> None:
        """The job `notify due`: something is."""
        self._wake.set()

    async def _claim(self) -> list[Claimed]:
        room = PARALLEL - len(self._sending)
        if room <= 0:
            return []
        try:
            async with self.db.act() as connection:
                return await outbox_store.claim(connection, room, EACH)
        except (SQLAlchemyError, OSError) as error:  # what is under way goes on
            log.warning("nothing claimed: %s", first_line(error))
            return []

    async def _until_due(self) -> None:
        """Until a signal, a look, the end of a try (whose successor may be waiting), or EVERY_S."""
        try:
            async with asyncio.timeout(EVERY_S):
                await self._wake.wait()
        except TimeoutError:
            return

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._wake.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("%s failed", task.get_name(), exc_info=task.exception())

    async def _send(self, claimed: Claimed) -> None:
        attempt = await self._try(claimed)
        try:
            await self._mark(claimed, attempt)
        except (SQLAlchemyError, OSError) as error:
            log.warning("%s: not marked, it may be sent again: %s", claimed.key, first_line(error))

    async def _try(self, claimed: Claimed) -> Attempt:
        if claimed.removed:
            return Attempt("the target was removed")
        if claimed.body is None:
            return Attempt("what it tells of cannot be read")
        body = claimed.body
        parcel = Parcel(
            claimed.target,
            claimed.key,
            claimed.event,
            body.text,
            body.alert,
            claimed.thread,
            body.incident,
            body.maintenance,
        )
        try:
            return await deliver(self.env, parcel)
        except Exception:
            log.exception("%s: not sent", claimed.key)
            return Attempt("Evenkeel failed; its log says why", GIVE_UP_S)

    async def _mark(self, claimed: Claimed, attempt: Attempt) -> None:
        kind = claimed.target.kind
        again = goes_on(attempt.patience_s, claimed.age_s, claimed.refused_s)
        wait_s = delay_s(claimed.attempt, random.random(), attempt.retry_after_s)  # noqa: S311 - not a secret
        async with self.db.act() as connection:
            if not attempt.error:
                await outbox_store.sent(connection, claimed, shared_clock.now())
            elif again:
                refused = attempt.patience_s == REFUSED_S
                await outbox_store.failed(connection, claimed, attempt.error, wait_s, refused=refused)
            else:
                await outbox_store.gave_up(connection, claimed, attempt.error)
        metrics.notified(kind, "failed" if again else "given_up" if attempt.error else "sent")
        if attempt.error:
            ending = f"again in {wait_s:.0f} s" if again else "given up"
            log.warning("%s to %s: %s; %s", claimed.event, claimed.target.name, attempt.error, ending)


async def escalate(db: Database) -> None:
    """The job `escalation`."""
    async with db.act() as connection:
        await outbox.escalate(connection)


async def forget(db: Database) -> None:
    """The job `notification retention`."""
    async with db.act() as connection:
        await outbox_store.forget(connection)
