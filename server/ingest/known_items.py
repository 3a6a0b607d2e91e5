"""Which items were counted before, as far as one writer knows: what it has read, each chunk once, and has committed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from server.ingest.item_claims import ITEM_BYTES, by_second, items_in

HELD_MAX = 100_000  # items, about 10 MB: above it the seconds that were used last stay
HOT_S = 60  # seconds that lie so near are asked for again soon, and held
MANY = 50  # items of one second: it is held too, as in a replay


class ItemChunk(NamedTuple):
    """Items of one second that one transaction has claimed. Of one second, the number rises by commit."""

    second: int
    number: int
    items: bytes


@dataclass(slots=True)
class HeldSecond:
    """All items of a second that were counted up to a chunk."""

    items: set[bytes] = field(default_factory=set)
    seen: int = 0  # the number of that chunk


@dataclass(slots=True)
class ItemLook:
    """What one flush would count, by second; up to which chunk each second was looked at; and what was `counted`."""

    wanted: dict[int, set[bytes]]
    seen: dict[int, int] = field(default_factory=dict)
    counted: set[bytes] = field(default_factory=set)
    claimed: dict[int, int] = field(default_factory=dict)  # the numbers of its own chunks, by second

    @property
    def left(self) -> dict[int, bytes]:
        """What is to be claimed of each second."""
        left = {second: wanted - self.counted for second, wanted in self.wanted.items()}
        return {second: b"".join(items) for second, items in left.items() if items}


class KnownItems:
    """The seconds that are held, those that were used last at the end."""

    def __init__(self) -> None:
        self._seconds: dict[int, HeldSecond] = {}

    def look(self, items: Iterable[bytes], now: float) -> ItemLook:
        """Begin to look for items; `now` is in Unix seconds. What is not held is still to be read."""
        look = ItemLook(by_second(items))
        for second, wanted in look.wanted.items():
            held = self._seconds.pop(second, None)
            if held is None and (abs(now - second) <= HOT_S or len(wanted) >= MANY):
                held = HeldSecond()
            if held is not None:
                self._seconds[second] = held
                look.counted |= wanted & held.items
            look.seen[second] = held.seen if held is not None else 0
        return look

    def read(self, look: ItemLook, chunks: Iterable[ItemChunk]) -> bool:
        """Take in chunks, which come in the order of their numbers; whether they have something that is wanted."""
        before = len(look.counted)
        for chunk in chunks:
            wanted, held = look.wanted[chunk.second], self._seconds.get(chunk.second)
            look.seen[chunk.second] = chunk.number
            if held is None:
                look.counted.update(item for item in wanted if is_in(item, chunk.items))
            else:
                items = items_in(chunk.items)
                held.items.update(items)
                held.seen = chunk.number
                look.counted |= wanted.intersection(items)
        self._let_go(look)
        return len(look.counted) > before

    def committed(self, look: ItemLook) -> None:
        """What was claimed after this look is counted now."""
        for second, number in look.claimed.items():
            held = self._seconds.get(second)
            if held is not None and held.seen == look.seen[second]:
                held.items |= look.wanted[second]
                held.seen = number

    def _let_go(self, look: ItemLook) -> None:
        """Hold no more than HELD_MAX, beside what this look needs."""
        held = sum(len(one.items) for one in self._seconds.values())
        for second in list(self._seconds):
            if held <= HELD_MAX:
                return
            if second not in look.wanted:
                held -= len(self._seconds.pop(second).items)

    def forget(self) -> None:
        """Read all again: what is read next may be of another server, which has lost something."""
        self._seconds.clear()


def is_in(item: bytes, items: bytes) -> bool:
    """Whether it is one of the items."""
    at = items.find(item)
    while at % ITEM_BYTES and at >= 0:
        at = items.find(item, at + 1)
    return at >= 0
