"""Keys as the pages sort them."""

from __future__ import annotations

from server.auth.store import ApiKey
from server.kernel import shared_clock
from server.kernel.times import utc


def has_ended(key: ApiKey) -> bool:
    """Whether the key is refused: revoked or expired."""
    return key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= utc(shared_clock.now()))
