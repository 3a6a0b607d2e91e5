"""The fourth stage: the incidents that the alerts make, and those that are open."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from server.picture.picture import OpenIncident, Picture
from server.process.watch import Fenced

log = logging.getLogger("evenkeel.tick")

# Makes what the alerts of a picture ask for, and answers the incidents that are open.
Keep = Callable[[Picture], Awaitable[list[OpenIncident]]]


async def no_incidents(picture: Picture) -> list[OpenIncident]:
    """For a tick whose alerts make none."""
    return []


class IncidentsStage:
    """The open incidents. Where it fails they are the last ones; Fenced ends the tick."""

    def __init__(self, keep: Keep) -> None:
        self.keep = keep

    async def run(self, picture: Picture) -> None:
        """Fill in `incidents`."""
        try:
            picture.incidents = await self.keep(picture)
        except Fenced:
            raise
        except Exception:
            log.exception("incidents not kept")
