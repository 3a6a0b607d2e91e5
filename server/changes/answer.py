"""A change as it is answered: with its verdict."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import asdict

from server.changes.store import Change
from server.changes.verdict import ChangeVerdict

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

# Of changes, by their ids, at a time in Unix seconds; of what cannot be compared none.
ReadVerdicts = Callable[["AsyncConnection", Sequence[int], float], Awaitable[dict[int, ChangeVerdict]]]


class ChangeAnswer(Change):
    """A change, and how what failed since compares with what failed before it on the same routes; null: that says
    nothing of it."""

    verdict: ChangeVerdict | None = None

    @property
    def sure(self) -> bool:
        """Whether its verdict is known."""
        return self.verdict is not None and self.verdict.finding != "too_few"


async def with_verdicts(
    connection: AsyncConnection, found: Sequence[Change], read: ReadVerdicts, now: float
) -> list[ChangeAnswer]:
    """Each with its verdict at `now`, Unix seconds."""
    verdicts = await read(connection, [one.id for one in found], now)
    return [ChangeAnswer(**asdict(one), verdict=verdicts.get(one.id)) for one in found]
