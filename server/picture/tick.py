"""The tick: once a second the picture goes through its stages, and is out."""

from __future__ import annotations

import logging
from typing import Protocol

from msgspec import MsgspecError

from server.kernel import shared_clock
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.live.tail import Hear
from server.picture import store
from server.picture.alerts import AlertsStage, Step
from server.picture.evaluation import Evaluate, EvaluationStage
from server.picture.incidents import IncidentsStage, Keep, no_incidents
from server.picture.picture import Gap, Picture, read_picture
from server.picture.publish import PublishStage
from server.picture.windows import WindowsStage
from server.process.glance import Presence
from server.process.process import Process

log = logging.getLogger("evenkeel.tick")

EVERY_S = 1.0
PHASE = 0.25  # of a second: enough of the newest one is there to be judged, and nothing waits for its end


class Stage(Protocol):
    """One part of a tick. It brings its fields of the picture up to date; `at` and `term` say when and for whom.

    A stage that fails and raises ends the tick: nothing is published. One whose failure
    must not hide the rest logs it and leaves its fields as they were in the last picture.
    """

    async def run(self, picture: Picture) -> None: ...


class Tick:
    """Makes the picture, as a job of the watch.

    `hear` is told of the deltas; then `evaluate` answers how the objectives stand, `step` the alerts, and `keep` the
    incidents. `seen` is looked at first, and says which of them need not ask.
    """

    def __init__(  # noqa: PLR0917 - what is known, then who is asked, in the order of a tick
        self,
        db: Database,
        bus: Bus,
        process: Process,
        hear: Hear,
        evaluate: Evaluate,
        step: Step,
        keep: Keep = no_incidents,
        seen: Presence | None = None,
    ) -> None:
        self.db = db
        self.process = process
        self.seen = seen or Presence()
        self.stages: tuple[Stage, ...] = (
            WindowsStage(db, bus, process, hear, self.seen),
            EvaluationStage(evaluate),
            AlertsStage(step),
            IncidentsStage(keep),
            PublishStage(db, bus),
        )
        self.picture: Picture | None = None  # the last one

    def age_s(self, now: float) -> float | None:
        """Seconds since the last picture was made; None where there is none."""
        return None if self.picture is None else max(0.0, now - self.picture.at)

    async def run(self, term: int) -> None:
        """One picture, which begins as the last one; Fenced where another watch has taken over."""
        now, picture = shared_clock.now(), self.picture
        if picture is None or picture.term != term:
            picture = await self._taken_over(term)
        picture.at = now
        picture.seq = max(picture.seq + 1, int(now))  # grows, also after the unlogged row was lost
        await self.seen.look(now)
        try:
            for stage in self.stages:
                await stage.run(picture)
        finally:
            self.seen.forget()
        self.picture = picture

    async def _taken_over(self, term: int) -> Picture:
        """The first picture of a term begins as what the watch before published.

        What had not been evaluated since then still has not; where nothing is known of that, it counts from now.
        """
        async with self.db.ask() as connection:
            stored = await store.read(connection)
        now = shared_clock.now()
        last = readable(stored.body) if stored else None
        begun = last.at if last else now
        evaluated, alerted = (last.evaluated_at, last.alerted_at) if last else (None, None)
        return Picture(
            seq=stored.seq if stored else 0,
            at=now,
            term=term,
            watch=self.process.label,
            services=last.services if last else [],
            processes=[],
            revision=0,
            redis=None,
            slo=last.slo if last else None,
            alerts=last.alerts if last else [],
            incidents=last.incidents if last else [],
            gap=Gap(now, stored.age_s) if stored else None,
            evaluated_at=begun if evaluated is None else evaluated,
            alerted_at=begun if alerted is None else alerted,
        )


def readable(body: bytes) -> Picture | None:
    """A stored picture as far as it can be read; None, and a line in the log, where it cannot be read at all."""
    try:
        picture, unread = read_picture(body)
    except MsgspecError as error:
        log.warning("the last picture cannot be read and is left out: %s", error)
        return None
    if unread:
        log.warning("of the last picture this cannot be read and is left out: %s", unread)
    return picture
