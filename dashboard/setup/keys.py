"""Keys as the pages sort them."""

from __future__ import annotations

from datetime import UTC, datetime

from server.auth.store import ApiKey


def has_ended(key: ApiKey) -> bool:
    """Whether the key is refused: revoked or expired."""
    return key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= datetime.now(UTC))
