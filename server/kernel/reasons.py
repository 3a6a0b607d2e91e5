"""Why somebody does something: one line that can be shown."""

from __future__ import annotations

from server.kernel.errors import invalid

REASON_MAX = 500


def checked_reason(reason: str, *, required: bool = True) -> str:
    """The reason on one line; ApiError INVALID where it is missing, too long or not text."""
    line = " ".join(reason.split())
    if required and not line:
        raise invalid("reason", "say why, for whoever reads this at 3 a.m.")
    if len(line) > REASON_MAX:
        raise invalid("reason", f"is {len(line)} characters long; {REASON_MAX} at most")
    if not all(character.isprintable() for character in line):
        raise invalid("reason", "has characters that cannot be shown")
    return line
