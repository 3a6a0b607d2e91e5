"""The keys in force, held whole by every process: a request costs a hash and a dictionary look-up."""

from __future__ import annotations

import time

from server.auth import store, tokens
from server.auth.caller import Identity
from server.auth.fresh import OUTAGE, Fresh
from server.kernel.db import Database
from server.kernel.errors import ApiError

KEPT_WITHOUT_DATABASE_S = 300.0


class KeyCache:
    """Known keys keep working for KEPT_WITHOUT_DATABASE_S after the database was lost."""

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
        if found is None or (found.until is not None and found.until <= time.time()):
            return None
        if self.fresh.age_s > KEPT_WITHOUT_DATABASE_S:
            raise unavailable()
        return found.identity

    async def _look_again(self) -> None:
        """It may have been made a moment ago, elsewhere."""
        if self.fresh.failing:
            raise unavailable()
        try:
            await self.fresh.now()
        except OUTAGE:
            raise unavailable() from None

    def name(self, key_id: int) -> str:
        """The name of a key in force or ended within the last day."""
        return self._names.get(key_id) or f"key {key_id}"


def unavailable() -> ApiError:
    detail = "Who you are cannot be checked: the database does not answer. Nothing was done; try again."
    return ApiError("UNAVAILABLE", detail, retry_after=2)
