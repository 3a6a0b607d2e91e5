"""Several processes and a watch, in one loop, for what is staged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from server.config import store
from server.config.saving import Saved
from server.config.service import StagedAct, StagedActDone, act_on
from server.config.staged import Staged, StagingAsked
from server.config.staging import Bake
from server.config.view import ConfigView, config_view
from tests.config.machine import MIRA, Member, members, objective
from tests.conftest import MakeEnv
from tests.waiting import PATIENCE_S, until

BATCH, RATE = "INGEST_MAX_BATCH_ITEMS", "INGEST_MAX_ITEMS_PER_SECOND"
QUARTER = StagingAsked(0.25, 10)


@dataclass
class Fleet:
    """Several web processes and a watch of term 1, which looks when it is told to."""

    all: list[Member]
    bake: Bake

    @property
    def one(self) -> Member:
        return self.all[0]

    async def stage(self, expected: int = 1, **values: int) -> Saved:
        return await self.one.change(expected, values or {BATCH: 100}, stage=QUARTER)

    async def look(self, term: int = 1) -> None:
        await self.bake.run(term)

    async def act(self, act: StagedAct, revision: int = 2, who: Any = MIRA) -> StagedActDone:
        return await act_on(self.one, who, act, revision, "r-3")  # type: ignore[arg-type]

    async def staged(self) -> Staged:
        async with self.one.db.act() as connection:
            found = await store.last_staged(connection)
        assert found is not None
        return found

    async def view(self) -> ConfigView:
        return await config_view(self.one, time.time())  # type: ignore[arg-type]

    async def chosen(self) -> list[Member]:
        ids = (await self.staged()).chosen
        return [one for one in self.all if one.process.id in ids]

    async def others(self) -> list[Member]:
        ids = (await self.staged()).chosen
        return [one for one in self.all if one.process.id not in ids]

    async def in_force(self, in_chosen: int, elsewhere: int) -> None:
        chosen, others = await self.chosen(), await self.others()
        await until(lambda: all(one.settings.revision == in_chosen for one in chosen), f"{in_chosen} in the chosen")
        await until(lambda: all(one.settings.revision == elsewhere for one in others), f"{elsewhere} elsewhere")

    async def proven(self, number: int) -> None:
        """Every chosen process has its receipt."""
        for one in await self.chosen():
            query = f"SELECT 1 FROM receipts WHERE revision = {number} AND process_id = {one.process.id}"
            async with asyncio.timeout(PATIENCE_S):
                while not await one.rows(query):
                    await asyncio.sleep(0.005)

    async def looked_ago(self, seconds: float) -> None:
        """As if the watch had looked last that long ago."""
        await self.one.do(f"UPDATE rollouts SET checked_at = clock_timestamp() - interval '{seconds} s'")

    def show(self, *objectives: Any, firing: tuple[str, ...] = ()) -> None:
        for one in self.all:
            one.relay.show(*(objectives or (objective(),)), firing=firing)


@asynccontextmanager
async def fleet(make_env: MakeEnv, count: int = 4) -> AsyncIterator[Fleet]:
    async with members(make_env(), count) as all_of_them:
        one = all_of_them[0]
        await one.do("UPDATE lease SET term = 1, renewed_at = now()")
        found = Fleet(
            all_of_them, Bake(one.db, one.bus, one.settings.environment, lambda: one.objectives_now(time.time()))
        )
        found.show()
        yield found


async def limit(one: Member) -> int:
    return one.settings.limits_for(0).ingest_max_batch_items
