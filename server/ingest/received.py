"""What came in by each receiver and what it refused, counted per key and reason in slots of a minute.

A receiver is one way by which other systems tell us something, under one name: the page Setup, Connect shows each.
Beside `intake`, which counts outcomes by service and decides who is partial, this says what arrived at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from server.ingest.tally import ACCEPTED
from server.kernel.text import storable

SLOT_S = 60
OPEN_S = 120  # slots older than this are written for the last time and forgotten
KEPT_S = 600  # what could not be written for so long is lost
SAID_MAX = 300  # characters of what a sender was told
LINES_MAX = 5000  # of this process at a time: keys, receivers and reasons are few
ABANDONED = "ABANDONED"  # items without an answer, of which nobody knows whether they failed
# Points of histograms that do not count, each of which would count a request twice: no refusals.
SET_ASIDE = frozenset({"SPANS_COUNT", "SCOPE_COUNTS_WRONG", "SCOPE_NOT_KNOWN", "OTHER_METRIC"})
HOT = "Outcomes"  # the receiver at the hot address


class ReceivedLine(NamedTuple):
    """What is counted apart. `reason` is ACCEPTED, ABANDONED, one of SET_ASIDE or an error code."""

    slot: int  # Unix seconds, a multiple of SLOT_S
    receiver: str
    key_id: int  # 0: no valid key
    reason: str


@dataclass(slots=True)
class ReceivedCount:
    """Requests, their items where they have any, bytes on the wire; when the newest came, and what it was told."""

    requests: int = 0
    items: int = 0
    bytes: int = 0
    at: float = 0.0  # Unix seconds
    said: str = ""  # empty where nothing was refused


class ReceivedTally:
    """The counts of this process."""

    def __init__(self) -> None:
        self.counts: dict[ReceivedLine, ReceivedCount] = {}
        self._changed: set[ReceivedLine] = set()

    def add(
        self,
        now: float,
        receiver: str,
        key_id: int,
        reason: str = "",
        *,
        requests: int = 1,
        items: int = 0,
        size: int = 0,
        said: str = "",
    ) -> None:
        """Count a request of `size` bytes, or with `requests` 0 items of one that is counted already.

        `reason` is an error code or ABANDONED; empty: it was accepted.
        """
        line = ReceivedLine(int(now) // SLOT_S * SLOT_S, receiver, key_id, reason or ACCEPTED)
        count = self.counts.get(line)
        if count is None:
            if len(self.counts) >= LINES_MAX:
                return
            count = self.counts[line] = ReceivedCount()
        count.requests += requests
        count.items += items
        count.bytes += size
        count.at = now
        if said:
            count.said = storable(said[:SAID_MAX])  # what is not would lose the counts of all others with it
        self._changed.add(line)

    def take(self, now: float) -> dict[ReceivedLine, ReceivedCount]:
        """The counts that have changed since the last take; old slots are forgotten."""
        changed = {line: self.counts[line] for line in self._changed}
        self._changed.clear()
        for line in [line for line in self.counts if line.slot < now - OPEN_S]:
            del self.counts[line]
        return changed

    def put_back(self, counts: Mapping[ReceivedLine, ReceivedCount], now: float) -> None:
        """These could not be written; they come with the next take, but for those that are too old for that."""
        kept = {line: count for line, count in counts.items() if line.slot >= now - KEPT_S}
        self.counts.update(kept)
        self._changed |= kept.keys()
