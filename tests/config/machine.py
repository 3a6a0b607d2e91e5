"""Several processes' settings in one loop, on one database."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from server.auth.identity import Identity
from server.config import service
from server.config.in_force import SettingsInForce
from server.config.saving import Saved
from server.config.staged import ObjectivesNow
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.errors import ApiError
from server.kernel.settings import Environment
from server.picture import objectives_now
from server.picture.picture import Picture
from server.process.process import Process
from server.slo.model.status import ObjectiveStatus, State, Status
from tests.gate.making import alert
from tests.waiting import until

ANYBODY = frozenset({"read", "act"})
MIRA = Identity("person", 1, "mira@example.org", ANYBODY, "commander")
JON = Identity("person", 2, "jon@example.org", ANYBODY, "commander")


class Pictured:
    """The picture that a process has: what burns, and how old that is; stands in for its relay."""

    def __init__(self) -> None:
        self.picture: Picture | None = None
        self.old_s = 0.5

    def age_s(self, now: float) -> float | None:
        return None if self.picture is None else self.old_s

    def show(self, *objectives: ObjectiveStatus, firing: Sequence[str] = ()) -> None:
        at = time.time()
        status, alerts = Status(1, at, list(objectives), {}), [alert(objective=name) for name in firing]
        self.picture = Picture(1, at, 1, "h/watch", [], [], 1, None, status, alerts)


def objective(name: str = "evenkeel-availability", state: State = "ok", burn: float | None = 0.0) -> ObjectiveStatus:
    """One objective as the watch has evaluated it."""
    counts: dict[str, Any] = {"good": 1000, "bad": 0, "excluded": 0}
    budget: dict[str, Any] = dict.fromkeys(("budget_left", "budget_worst", "budget_best", "exhausted_in_s", "since"))
    return ObjectiveStatus(
        name=name,
        service=name.partition("-")[0],
        kind="availability",
        target=0.999,
        threshold_ms=None,
        window_days=28,
        state=state,
        burn_5m=burn,
        burn_1h=burn,
        **counts,
        **budget,
    )


@dataclass
class Member:
    """The parts of a process that the settings need; stands in for Parts."""

    env: Environment
    db: Database
    bus: Bus
    process: Process
    settings: SettingsInForce
    relay: Pictured
    denied: list[str] = field(default_factory=list)  # why its gate denies revisions; empty: it does not

    async def gate(self, connection: Any, now: float) -> str | None:
        return next(iter(self.denied), None)

    def objectives_now(self, now: float) -> ObjectivesNow:
        return objectives_now.objectives_now(self.relay.picture, self.relay.age_s(now))

    async def change(self, expected: int, values: dict[str, Any], who: Identity = MIRA, **more: Any) -> Saved:
        more = {"reason": "a test", "request_id": "r-1"} | more
        return await service.change(self, who, expected=expected, values=values, **more)  # type: ignore[arg-type]

    async def rollback(
        self, from_: int | None = None, to: int | None = None, who: Identity = MIRA, reason: str = ""
    ) -> Saved:
        return await service.rollback(  # type: ignore[arg-type]
            self, who, from_=from_, to=to, reason=reason, request_id="r-2"
        )

    async def rows(self, statement: str) -> list[Any]:
        async with self.db.act() as connection:
            return list(await connection.exec_driver_sql(statement))

    async def do(self, statement: str) -> None:
        async with self.db.act() as connection:
            await connection.exec_driver_sql(statement)


@asynccontextmanager
async def member(env: Environment, name: str = "web.1") -> AsyncIterator[Member]:
    """One process, started, whose ends of the bus listen."""
    assert env.database_url is not None
    db = Database(env.database_url, name)
    bus = Bus(db, env.redis_url)
    process = Process(db, "web", name)
    settings = SettingsInForce(env, db, bus, process)
    bus.start()
    try:
        await process.register()
        await settings.start()
        await until(lambda: bus.listening and bus.redis_ok is not False, "the bus to listen")
        yield Member(env, db, bus, process, settings, Pictured())
    finally:
        await settings.close()
        await bus.close()
        await db.close()


@asynccontextmanager
async def members(env: Environment, count: int) -> AsyncIterator[list[Member]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(member(env, f"web.{i + 1}")) for i in range(count)]


async def pretend_time_is_over(one: Member) -> None:
    """Move the ends of temporary values into the past, as stored; too little for a process to step in itself."""
    await one.do(
        """UPDATE revisions SET values = (SELECT coalesce(jsonb_agg(CASE WHEN e->>'until' IS NULL THEN e
           ELSE jsonb_set(e, '{until}', to_jsonb(extract(epoch FROM clock_timestamp()) - 1)) END), '[]')
           FROM jsonb_array_elements(values) e)"""
    )


async def refused(act: Any, code: str) -> ApiError:
    with pytest.raises(ApiError) as error:
        await act
    assert error.value.code == code, error.value.detail
    return error.value
