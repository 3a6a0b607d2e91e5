"""The relay: each process's copy of the picture, and who wants to hear of a new one."""

from __future__ import annotations

import logging
from collections.abc import Callable

from server.alerts.alert import Alert
from server.kernel import shared_clock
from server.kernel.bus import Bus
from server.kernel.connection import OwnConnection
from server.kernel.db import Database
from server.kernel.loop import Loop
from server.live.service import LiveService
from server.picture import store
from server.picture.picture import Picture, RunningMaintenance, read_picture
from server.slo.model.status import Status

log = logging.getLogger("evenkeel.relay")

POLL_S = 1.0
LIMIT_S = 10.0  # for one read

Listener = Callable[[Picture], None]
Ended = Callable[[], None]


class Relay:
    """Reads the picture when the bus says so, and each second besides."""

    def __init__(self, db: Database, bus: Bus) -> None:
        self._connection = OwnConnection(db, "picture")
        self.picture: Picture | None = None
        self._made = 0.0  # by this machine's clock, from the age by the database's
        self._known = (0, 0)
        self._unread = ""  # what of the last picture could not be read
        self._listeners: dict[Listener, Ended | None] = {}
        self._loop = Loop("reading the picture", self.refresh, POLL_S)
        bus.subscribe("picture", self._loop.wake)

    async def start(self) -> None:
        """Read what there is, and follow until closed."""
        await self.refresh()
        self._loop.start()

    @property
    def status(self) -> Status | None:
        """How the objectives stand; None before the first evaluation."""
        return self.picture.slo if self.picture else None

    @property
    def alerts(self) -> list[Alert]:
        """The alerts that are open, and those resolved within some minutes."""
        return self.picture.alerts if self.picture else []

    @property
    def maintenance(self) -> list[RunningMaintenance]:
        """The maintenance windows that run."""
        return self.picture.maintenance if self.picture else []

    def service(self, name: str) -> LiveService | None:
        """A service; None where nothing of it has come lately."""
        services = self.picture.services if self.picture else ()
        return next((each for each in services if each.name == name), None)

    def age_s(self, now: float) -> float | None:
        """Seconds since the picture was made; None where there is none."""
        return None if self.picture is None else max(0.0, now - self._made)

    def subscribe(self, listener: Listener, ended: Ended | None = None) -> Callable[[], None]:
        """Call `listener` with each new picture, in the loop: it must not block. `ended` is called when the
        process stops. Answers the call that ends the subscription."""
        self._listeners[listener] = ended
        return lambda: self._listeners.pop(listener, None) and None

    def end_streams(self) -> None:
        """The process stops: tell every subscriber."""
        for ended in list(self._listeners.values()):
            if ended is not None:
                ended()
        self._listeners.clear()

    async def refresh(self) -> None:
        """Read the picture where it is new, and tell the listeners."""
        async with self._connection.use(LIMIT_S) as connection:
            stored = await store.newer(connection, self._known)
        if stored is None:
            return
        self.picture, unread = read_picture(stored.body, self.picture)
        if unread not in ("", self._unread):
            log.warning("of the picture, by a watch of another version, this could not be read: %s", unread)
        self._unread = unread
        self._made = shared_clock.now() - stored.age_s
        self._known = (stored.term, stored.seq)
        self._tell(self.picture)

    def _tell(self, picture: Picture) -> None:
        for listener in list(self._listeners):
            try:
                listener(picture)
            except Exception:
                log.exception("listener of the picture failed")

    async def close(self) -> None:
        """Stop following."""
        await self._loop.close()
        await self._connection.close()
