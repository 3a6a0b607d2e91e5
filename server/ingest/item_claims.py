"""What is counted once by itself: items of 16 bytes, claimed in the transaction that counts them.

An Idempotency-Key tells a request that is sent again. Senders of telemetry send none, and what a collector sends
again may come in other bodies: so each span is known by itself. An item begins with the second that it is of: what a
flush counts of one second is stored as one chunk, so that what is known of a second is read as a whole, and what is
old is deleted by its second.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

ITEM_BYTES = 16
KEPT_S = 2 * 3600  # from the second that it is of: what comes within an hour of it is known for another
SECOND_BYTES = 4
SECOND_MAX = 2**32 - 1


def item_of(second: int, known_by: bytes) -> bytes:
    """The item of a second, in Unix time, that is known by 12 bytes."""
    return (second if 0 <= second <= SECOND_MAX else 0).to_bytes(SECOND_BYTES, "big") + known_by


def items_in(items: bytes) -> list[bytes]:
    """Each of the items."""
    return [items[at : at + ITEM_BYTES] for at in range(0, len(items), ITEM_BYTES)]


def items_without(items: bytes, left_out: set[int]) -> bytes:
    """All but those at these places."""
    return b"".join([item for place, item in enumerate(items_in(items)) if place not in left_out])


def by_second(items: Iterable[bytes]) -> dict[int, set[bytes]]:
    """The items of each second, in the order of seconds."""
    found = defaultdict[bytes, set[bytes]](set)
    for item in items:
        found[item[:SECOND_BYTES]].add(item)
    return {int.from_bytes(second, "big"): found[second] for second in sorted(found)}
