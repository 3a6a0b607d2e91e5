"""A tick on a database of its own, and the picture that it stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import psycopg

from server.alerts.alert import Alert
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.live.service import LiveService
from server.picture.alerts import Step
from server.picture.evaluation import Evaluate
from server.picture.picture import Picture
from server.picture.tick import Tick
from server.process.process import Process
from server.slo.model.status import Status
from tests.live.rollups import lead
from tests.live.writing import database, unheard


async def objectives(services: list[LiveService], now: float, before: Status | None) -> Status:
    """No objective."""
    return Status(1, now, [], {each.name: "no_objective" for each in services})


async def no_alerts(term: int, now: float) -> list[Alert]:
    """Nothing is open."""
    return []


class Flaky:
    """Does what `does` does, except while it has an error to raise."""

    def __init__(self, does: Callable[..., Awaitable[Any]]) -> None:
        self.does = does
        self.error: BaseException | None = None

    async def __call__(self, *given: Any) -> Any:
        if self.error is not None:
            raise self.error
        return await self.does(*given)


@asynccontextmanager
async def ticking(
    url: str, evaluate: Evaluate = objectives, step: Step = no_alerts
) -> AsyncIterator[tuple[Database, Bus, Tick]]:
    """A tick whose lease is in term 1, not yet run."""
    lead(url, 1)
    async with database(url) as db:
        bus = Bus(db, None)
        process = Process(db, "watch", "watch.1")
        await process.register()
        try:
            yield db, bus, Tick(db, bus, process, unheard, evaluate, step)
        finally:
            await bus.close()


def stored(url: str) -> Picture:
    """The picture that everybody gets."""
    return msgspec.json.decode(stored_bytes(url), type=Picture)


def stored_bytes(url: str) -> bytes:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT body FROM picture").fetchone()
    assert row is not None
    return bytes(row[0])


def store(url: str, picture: Any) -> None:
    """Put another picture in its place, as a watch of any version would have."""
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE picture SET body = %s, seq = seq + 1", [msgspec.json.encode(picture)])


def service(picture: Picture, name: str = "shop") -> LiveService:
    return next(each for each in picture.services if each.name == name)
