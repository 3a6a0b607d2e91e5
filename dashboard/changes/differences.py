"""What a recorded change says of the settings that it changed."""

from __future__ import annotations

import msgspec

from server.changes.store import Change
from server.config.differences import Difference


def differences(change: Change) -> list[Difference]:
    """The differences of a revision; of another kind, or as another version wrote them, none."""
    detail = change.detail if isinstance(change.detail, dict) else {}
    try:
        return msgspec.convert(detail.get("differences", []), list[Difference])
    except msgspec.ValidationError:
        return []
