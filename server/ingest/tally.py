"""What came in and what was refused, counted per key, service and reason in slots of 10 s.

Sizes of requests are a map of size to count with few keys: exact to 1,024, then within 0.4 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from server.kernel.names import OTHER
from server.kernel.text import storable

SLOT_S = 10
ACCEPTED = "accepted"
LOST = "LOST"  # a platform says that it has thrown lines away before they came: nobody knows of how many requests
OPEN_S = 30  # slots older than this are written for the last time and forgotten
KEPT_S = 600  # what could not be written for so long is lost: nobody looks back further
SIZE_MAX = 2**31 - 1  # the largest key of a pair; a Content-Length may claim anything


class IntakeLine(NamedTuple):
    """What is counted apart."""

    slot: int  # Unix seconds, a multiple of SLOT_S
    key_id: int
    service: str
    reason: str


@dataclass(slots=True)
class IntakeCount:
    """Requests, items and bytes; the sizes are of whole requests, each counted under one service."""

    requests: int = 0
    items: int = 0
    bytes: int = 0
    ahead_us: int = 0  # the most by which the clock of a sender was ahead
    item_sizes: dict[int, int] = field(default_factory=dict)
    byte_sizes: dict[int, int] = field(default_factory=dict)


class IntakeTally:
    """The counts of this process. Of each key, a service over the cap is counted under `(other)`."""

    def __init__(self, services_max: int) -> None:
        self.services_max = services_max
        self.counts: dict[IntakeLine, IntakeCount] = {}
        self._changed: set[IntakeLine] = set()
        self._slot_services: dict[int, set[str]] = {}  # by key
        self._slot = 0

    def add(
        self,
        now: float,
        key_id: int,
        reason: str,
        *,
        services: Mapping[str, int] | None,
        items: int | None,
        size: int,
        ahead_us: int = 0,
    ) -> None:
        """Count one request of `size` bytes; `services` maps each to its items, None where none was read."""
        size, items = min(size, SIZE_MAX), None if items is None else min(items, SIZE_MAX)
        slot = int(now) // SLOT_S * SLOT_S
        shares = services or {"": items or 0}
        largest = max(shares, key=lambda service: shares[service])
        total = sum(shares.values())
        for service, share in shares.items():
            line = IntakeLine(slot, key_id, self._bounded(slot, key_id, service), reason)
            count = self.counts.setdefault(line, IntakeCount())
            count.requests += 1
            count.ahead_us = max(count.ahead_us, ahead_us)
            count.items += share
            count.bytes += size * share // total if total else size
            if service == largest:
                grow(count.byte_sizes, size)
                if items is not None:
                    grow(count.item_sizes, items)
            self._changed.add(line)

    def add_items(self, now: float, key_id: int, reason: str, items: int, service: str = "") -> None:
        """Count items that were not stored of a request that is counted as accepted."""
        slot = int(now) // SLOT_S * SLOT_S
        line = IntakeLine(slot, key_id, self._bounded(slot, key_id, service) if service else "", reason)
        self.counts.setdefault(line, IntakeCount()).items += items
        self._changed.add(line)

    def _bounded(self, slot: int, key_id: int, service: str) -> str:
        if slot != self._slot:
            self._slot, self._slot_services = slot, {}
        service = storable(service)  # one that is not would lose the counts of all others with it
        sent = self._slot_services.setdefault(key_id, set())
        if service not in sent and len(sent) >= self.services_max:
            return OTHER
        sent.add(service)
        return service

    def take(self, now: float) -> dict[IntakeLine, IntakeCount]:
        """The counts that have changed since the last take; old slots are forgotten."""
        changed = {line: self.counts[line] for line in self._changed}
        self._changed.clear()
        for line in [line for line in self.counts if line.slot < now - OPEN_S]:
            del self.counts[line]
        return changed

    def put_back(self, counts: Mapping[IntakeLine, IntakeCount], now: float) -> int:
        """These could not be written; they come with the next take. How many requests were too old for that."""
        late = {line: count for line, count in counts.items() if line.slot < now - KEPT_S}
        kept = counts.keys() - late.keys()
        self.counts.update({line: counts[line] for line in kept})
        self._changed |= kept
        return requests(late)


def requests(counts: Mapping[IntakeLine, IntakeCount]) -> int:
    """How many requests; one of several services stands in several lines, its size in one."""
    return sum(sum(count.byte_sizes.values()) for count in counts.values())


def grow(sizes: dict[int, int], size: int) -> None:
    key = size_key(size)
    sizes[key] = sizes.get(key, 0) + 1


def size_key(size: int) -> int:
    """The key that stands for a size: the size itself, above 1,024 rounded down to 9 binary digits."""
    if size <= 1024:
        return size
    shift = size.bit_length() - 9
    return size >> shift << shift


def above(sizes: Mapping[int, int], limit: int) -> tuple[int, int]:
    """How many requests are larger than the limit, and the sum of their sizes."""
    over = [(key, n) for key, n in sizes.items() if key > limit]
    return sum(n for _, n in over), sum(key * n for key, n in over)
