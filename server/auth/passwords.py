"""Passwords: argon2id, one at a time, off the event loop, so that sign-ins cannot take the memory or the process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from server.auth.easy_passwords import too_easy
from server.kernel.errors import ApiError, invalid
from server.kernel.names import OWN

SHORTEST = 12
LONGEST = 256
WAITING = 20  # who may wait for a turn; each takes some 40 ms

hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)  # KiB

# Of a random password that was thrown away: an unknown account takes as long to refuse as a known one.
DUMMY = "$argon2id$v=19$m=19456,t=2,p=1$Z8s2Z+rbjak2b6lL/Zn7DA$P0qqhQuGQBWBBZfli6hTjB09TCKliRyYvW3pN+93esM"


class Passwords:
    """Hashes and verifies in one thread of its own."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "argon2")
        self._waiting = 0

    async def hash(self, password: str, *known: str) -> str:
        """The hash to store; ApiError INVALID where it is too short, too long or too easy for who is `known` so."""
        checked_length(password)
        with self._turn():
            return await asyncio.get_running_loop().run_in_executor(self._thread, hashed, password, known)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether it is the password; `stored` None (no such account) takes as long and is False."""
        if len(password) > LONGEST:
            return False
        with self._turn():
            loop = asyncio.get_running_loop()
            right = await loop.run_in_executor(self._thread, matches, stored or DUMMY, password)
        return right and stored is not None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._waiting >= WAITING:
            raise ApiError(
                "UNAVAILABLE", "Too many people sign in at once. Nothing was done; try again.", retry_after=2
            )
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


def matches(stored: str, password: str) -> bool:
    """Whether the password is the one that was hashed."""
    try:
        return hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def hashed(password: str, known: Sequence[str] = ()) -> str:
    """The hash of a new password; ApiError INVALID with the bounds, or why it is too easy."""
    checked_length(password)
    easy = too_easy(password, (OWN, *known))
    if easy:
        raise invalid("password", f"{easy}; three or four words that do not belong together are better")
    return hasher.hash(password)


def checked_length(password: str) -> None:
    """ApiError INVALID with the bounds."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise invalid("password", f"give {SHORTEST} to {LONGEST} characters")
