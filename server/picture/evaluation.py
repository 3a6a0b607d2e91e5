"""The second stage: how the objectives stand."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from server.live.service import LiveService
from server.picture.picture import Picture
from server.slo.model.status import Status

log = logging.getLogger("evenkeel.tick")

# Answers how the objectives stand at a time, from the services and how they stood before.
Evaluate = Callable[[list[LiveService], float, Status | None], Awaitable[Status]]


class EvaluationStage:
    """The objectives. Where it fails they stand as they did last, and the picture says since when."""

    def __init__(self, evaluate: Evaluate) -> None:
        self.evaluate = evaluate

    async def run(self, picture: Picture) -> None:
        """Fill in `slo`."""
        try:
            picture.slo = await self.evaluate(picture.services, picture.at, picture.slo)
            picture.evaluated_at = picture.at
        except Exception:
            log.exception("objectives not evaluated")
