"""Pauses, resumes and rolls back deploys that people have asked for in an incident.

What is asked is a row before anything is sent. The watch claims it by an update that only one can make, lets the
adapter carry it out, and writes what came of it with the line of the timeline and the end of the change, in one
transaction. A process that dies in between leaves a claim that ends by itself: the next one asks the adapter again,
under the same key, and an adapter does the same thing once.
"""

from __future__ import annotations

import logging
from copy import deepcopy
from typing import TYPE_CHECKING

from server.changes import store as changes
from server.changes import target_store, targets
from server.changes.adapters import ADAPTERS
from server.changes.adapters.adapter import NotNow, Refused
from server.changes.store import ChangeState
from server.changes.target import DeployOrder
from server.incidents import deploy_store, store
from server.incidents.deploy_act import took_effect
from server.incidents.incident import DeployAct
from server.incidents.room import IncidentRoom
from server.kernel import shared_clock
from server.kernel.names import OWN
from server.kernel.times import utc

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.kernel.bus import Bus
    from server.kernel.db import Database
    from server.kernel.settings import Environment

log = logging.getLogger("evenkeel.incidents")

EVERY_S = 1.0
LIMIT_S = 60.0
AGAIN_S = 5.0
TRIES = 24  # two minutes and the time that they take


class DeployReceipt:
    """What came of one try: `again`, it is tried once more."""

    def __init__(self, receipt: str = "", error: str = "", *, again: bool = False) -> None:
        self.receipt = receipt
        self.error = error
        self.again = again


class DeployActs:
    """The watch's job."""

    def __init__(self, env: Environment, db: Database, bus: Bus) -> None:
        self.env = env
        self.db = db
        self.bus = bus

    async def run(self, term: int = 0) -> None:
        """Carry out what waits, one after the other; safe to repeat and to run twice at once."""
        while True:
            async with self.db.act() as connection:
                claimed = await deploy_store.claim(connection)
            if claimed is None:
                return
            await self._end(claimed.act, claimed.attempt, await self._try(claimed.act))

    async def _try(self, act: DeployAct) -> DeployReceipt:
        async with self.db.act() as connection:
            target = await target_store.of_service(connection, act.service)
        adapter = ADAPTERS.get(target.kind) if target else None
        if target is None or adapter is None:
            return DeployReceipt(error="there is no deploy target any more")
        order = DeployOrder(
            f"deploy-act-{act.id}-{int(act.asked_at)}",
            act.act,
            act.service,
            act.asked_by,
            act.incident_id,
            act.version,
            act.rolls_back,
        )
        try:
            return DeployReceipt(await adapter.carry_out(targets.way_to(self.env, target), order, shared_clock.now()))
        except Refused as error:
            return DeployReceipt(error=str(error))
        except NotNow as error:
            return DeployReceipt(error=str(error), again=True)

    async def _end(self, act: DeployAct, attempt: int, answer: DeployReceipt) -> None:
        if answer.again and attempt < TRIES:
            async with self.db.act() as connection:
                await deploy_store.again(connection, act.id, answer.error, AGAIN_S)
            return
        async with self.db.act() as connection:
            before = await store.room(connection, act.incident_id, hold=True)
            assert before is not None
            after = deepcopy(before)
            if not ended(after, act.id, answer, shared_clock.now()):
                return
            await change_deploys(connection, before, after)
            await store.save(connection, before, after)
        await self.bus.publish("incidents", act.incident_id)
        log.info("%s of %s: %s", act.act, act.service, answer.receipt or answer.error)


def ended(room: IncidentRoom, number: int, answer: DeployReceipt, now: float) -> bool:
    """Write down what came of it; whether nobody had before."""
    act = room.deploy(number)
    if act.state != "waiting":
        return False
    act.ended_at = now
    what = {"pause": "Pause", "resume": "Resume", "roll_back": f"Roll back to {act.version}"}[act.act]
    if answer.error:
        act.state, act.error = "failed", answer.error
        room.say("deploy", f"{what} of {act.service} failed: {answer.error}.", OWN, now)
    else:
        act.state, act.receipt, act.error = "done", answer.receipt, ""
        took_effect(room, act, now)
        room.say("deploy", f"{what} of {act.service} done: {answer.receipt}.", OWN, now)
    return True


async def change_deploys(connection: AsyncConnection, before: IncidentRoom, after: IncidentRoom) -> None:
    """What rolls back is a change: it begins when it is asked for, and ends with it."""
    known = {one.id: one for one in before.deploys}
    for one in after.deploys:
        if one.act != "roll_back":
            continue
        if not one.id:
            await changes.lock(connection)
            one.change_id = await changes.record(
                connection,
                "deploy",
                one.service,
                one.version,
                f"version {one.version} (rolls back {one.rolls_back})",
                author=one.asked_by,
                state="started",
                detail={
                    "announced": one.version,
                    "rolls_back": one.rolls_back,
                    "incident": one.incident_id,
                    "by_hand": one.state == "by_hand",
                },
            )
        elif one != known[one.id] and one.state in ("done", "failed") and one.change_id is not None:
            state: ChangeState = "finished" if one.state == "done" else "failed"
            await changes.finish(connection, one.change_id, state, utc(one.ended_at or 0.0))
