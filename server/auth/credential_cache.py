"""Keys and sessions in the memory of each process, read again every two seconds, so that a revocation ends them here.

Keys are held whole, sessions as they are used: a request costs a hash and a dictionary look-up.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from server.auth import store, tokens
from server.auth.fresh import Fresh
from server.auth.identity import Identity
from server.kernel import shared_clock
from server.kernel.db import AWAY, Database
from server.kernel.errors import ApiError

KEPT_WITHOUT_DATABASE_S = 300.0
SENDS_WITHOUT_DATABASE_S = 86_400.0  # what is sent goes to the spool; of a revocation elsewhere: docs/degrade.md

SENDING = frozenset({"ingest"})

log = logging.getLogger("evenkeel.auth")

SESSIONS_HELD = 5000
IDLE_S = 60.0

Listener = Callable[[int], None]


class KeyCache:
    """Every key in force. Known keys keep working for KEPT_WITHOUT_DATABASE_S after the database was lost, and to send
    outcomes for SENDS_WITHOUT_DATABASE_S."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.fresh = Fresh("keys", self._read)
        self._keys: dict[bytes, store.Credential] = {}
        self._names: dict[int, str] = {}

    async def _read(self) -> None:
        async with self.db.act() as connection:
            credentials, self._names = await store.keys_in_force(connection)
        self._keys = {credential.digest: credential for credential in credentials}

    async def find(self, token: str) -> Identity | None:
        """Whose key it is; None: nobody's. ApiError UNAVAILABLE where that cannot be known."""
        if not tokens.well_formed("ek", token):
            return None
        digest = tokens.digest(token)
        await self.fresh.if_old()
        if digest not in self._keys:
            await self._look_again()
        found = self._keys.get(digest)
        if found is None or (found.until is not None and found.until <= shared_clock.now()):
            return None
        if self.fresh.age_s <= KEPT_WITHOUT_DATABASE_S:
            return found.identity
        if self.fresh.age_s > SENDS_WITHOUT_DATABASE_S or "ingest" not in found.identity.scopes:
            raise unavailable()
        return replace(found.identity, scopes=SENDING)

    async def _look_again(self) -> None:
        """It may have been made a moment ago, elsewhere."""
        if self.fresh.failing:
            raise unavailable()
        try:
            await self.fresh.now()
        except AWAY:
            raise unavailable() from None

    def name(self, key_id: int) -> str:
        """The name of a key in force or ended within the last day."""
        return self._names.get(key_id) or f"key {key_id}"


def unavailable() -> ApiError:
    detail = "Who you are cannot be checked: the database does not answer. Nothing was done; try again."
    return ApiError("UNAVAILABLE", detail, retry_after=2)


@dataclass(slots=True)
class Held:
    """A session as last read; once `known`, `credential` None means that it is not in force."""

    used_at: float  # monotonic
    known: bool = False
    credential: store.Credential | None = None


class SessionCache:
    """Sessions by the digest of their token. Bounded: the longest unused make room."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.fresh = Fresh("sessions", self._read)
        self._held: dict[bytes, Held] = {}
        self._listeners: dict[int, list[Listener]] = {}

    async def find(self, token: str) -> Identity | None:
        """Who is signed in with it; None: nobody. ApiError UNAVAILABLE where that cannot be known."""
        if not tokens.well_formed("es", token):
            return None
        digest = tokens.digest(token)
        await self.fresh.if_old()
        held = self._held.get(digest)
        if held is None or not held.known:
            held = await self._hold(digest)
        held.used_at = time.monotonic()
        if held.credential is None:
            return None
        if self.fresh.age_s > KEPT_WITHOUT_DATABASE_S:
            raise unavailable()
        return held.credential.identity if (held.credential.until or 0) > shared_clock.now() else None

    async def _hold(self, digest: bytes) -> Held:
        if self.fresh.failing:
            raise unavailable()
        held = self._held.setdefault(digest, Held(time.monotonic()))
        self._make_room(held)
        try:
            await self.fresh.now()
        except AWAY:
            raise unavailable() from None
        return held

    def _make_room(self, new: Held) -> None:
        if len(self._held) > SESSIONS_HELD:
            unwatched = (digest for digest, held in self._held.items() if held is not new and not self._watched(held))
            oldest = min(unwatched, key=lambda digest: self._held[digest].used_at, default=None)
            if oldest is not None:
                del self._held[oldest]

    def _watched(self, held: Held) -> bool:
        return held.credential is not None and held.credential.identity.session_id in self._listeners

    async def _read(self) -> None:
        before = time.monotonic() - IDLE_S
        self._held = {d: held for d, held in self._held.items() if held.used_at > before or self._watched(held)}
        asked = list(self._held)
        if not asked:
            return
        async with self.db.act() as connection:
            found = {c.digest: c for c in await store.sessions_in_force(connection, asked)}
            await store.touch_sessions(connection, list(found))
        for digest in asked:
            held = self._held.get(digest)
            if held is not None:
                self._take(held, found.get(digest))

    def _take(self, held: Held, now: store.Credential | None) -> None:
        before, held.credential, held.known = held.credential, now, True
        if before is not None and now is None:
            self._tell(before.identity.session_id)

    def on_revoked(self, session_id: int, listener: Listener) -> Callable[[], None]:
        """Call `listener(session_id)` once the session is no longer in force; returns how to stop listening."""
        self._listeners.setdefault(session_id, []).append(listener)

        def forget() -> None:
            listeners = self._listeners.get(session_id, [])
            if listener in listeners:
                listeners.remove(listener)
            if not listeners:
                self._listeners.pop(session_id, None)

        return forget

    def _tell(self, session_id: int) -> None:
        for listener in list(self._listeners.get(session_id, ())):
            try:
                listener(session_id)
            except Exception:
                log.exception("ending what session %d had open failed", session_id)
