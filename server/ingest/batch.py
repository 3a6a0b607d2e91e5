"""One request's outcomes on their way into the database, and the answer that its sender waits for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple

from server.ingest.count import Counted
from server.kernel.errors import ApiError

# Beside the encoded rows: a duration in a list, and its share of the cells.
BYTES_AN_ITEM = 48


class Claim(NamedTuple):
    """An Idempotency-Key: digests of the key in its scope and of the body, and the answer to keep."""

    digest: bytes
    body: bytes
    answer: bytes


class Stored(NamedTuple):
    """The answer; `repeated` where it is that of an earlier request."""

    answer: bytes
    repeated: bool


@dataclass(slots=True, eq=False)
class Batch:
    """A counted request. `done` gets a Stored, or an ApiError, after the commit."""

    counted: Counted
    answer: bytes
    claim: Claim | None
    done: asyncio.Future[Stored] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def items(self) -> int:
        return self.counted.items

    @property
    def size(self) -> int:
        """Bytes in memory, nearly."""
        return len(self.counted.rows) + BYTES_AN_ITEM * self.counted.items

    def settle(self, stored: Stored | ApiError) -> None:
        """Answer the sender, unless it has gone."""
        if self.done.done():
            return
        if isinstance(stored, ApiError):
            self.done.set_exception(stored)
            self.done.exception()  # looked at, also where the sender has gone
        else:
            self.done.set_result(stored)
