"""The third stage: the alerts, one step on."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from server.alerts.alert import Alert
from server.picture.picture import Picture
from server.process.watch import Fenced

log = logging.getLogger("evenkeel.tick")

# Answers the alerts of a term at a time: those that are open, and those resolved a moment ago.
Step = Callable[[int, float], Awaitable[list[Alert]]]


class AlertsStage:
    """The alerts. Where it fails they are the last ones, and the picture says since when; Fenced ends the tick."""

    def __init__(self, step: Step) -> None:
        self.step = step

    async def run(self, picture: Picture) -> None:
        """Fill in `alerts`."""
        try:
            picture.alerts = await self.step(picture.term, picture.at)
            picture.alerted_at = picture.at
        except Fenced:
            raise
        except Exception:
            log.exception("alerts not kept")
