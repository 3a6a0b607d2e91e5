"""What is counted once by itself: items of 16 bytes, claimed in the transaction that counts them.

An Idempotency-Key tells a request that is sent again. Senders of telemetry send none, and what a collector sends
again may come in other bodies: so each span is known by itself. An item begins with the second that it is of: so the
items of now lie together in the index, and what is old is deleted from its beginning.
"""

from __future__ import annotations

ITEM_BYTES = 16
KEPT_S = 2 * 3600  # from the second that it is of: what comes within an hour of it is known for another
SECOND_MAX = 2**32 - 1


def item_of(second: int, known_by: bytes) -> bytes:
    """The item of a second, in Unix time, that is known by 12 bytes."""
    return (second if 0 <= second <= SECOND_MAX else 0).to_bytes(4, "big") + known_by


def items_in(items: bytes) -> list[bytes]:
    """Each of the items."""
    return [items[at : at + ITEM_BYTES] for at in range(0, len(items), ITEM_BYTES)]


def items_without(items: bytes, left_out: set[int]) -> bytes:
    """All but those at these places."""
    return b"".join([item for place, item in enumerate(items_in(items)) if place not in left_out])
