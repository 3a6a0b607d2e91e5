"""Times and windows as callers write them: pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from server.errors import invalid

WINDOW = re.compile(r"([1-9][0-9]{0,7})(s|m|h|d)", re.ASCII)
UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_S = 400 * 86400  # hours are kept for 400 days
POINTS_MAX = 1500


def window_s(text: str) -> int:
    """`5m` as seconds, from 1s to 400d; ApiError 422."""
    found = WINDOW.fullmatch(text)
    seconds = int(found[1]) * UNIT_S[found[2]] if found else 0
    if not 1 <= seconds <= LONGEST_S:
        raise invalid("window", "is a number and s, m, h or d, as in 5m; at most 400d")
    return seconds


def instant(field: str, text: str) -> float:
    """RFC 3339 with its zone, or epoch milliseconds, as Unix seconds; ApiError 422."""
    try:
        if re.fullmatch(r"[0-9]{1,15}", text, re.ASCII):
            return datetime.fromtimestamp(int(text) / 1000, UTC).timestamp()
        when = datetime.fromisoformat(text.replace(" ", "+"))  # an unescaped + arrives as a space
        if when.tzinfo is None:
            raise ValueError("no zone")
        return when.timestamp()
    except (ValueError, OverflowError):
        raise invalid(field, "is RFC 3339 with its zone, as 2026-03-01T03:08:12Z, or epoch milliseconds") from None


def span(start: str | None, stop: str | None, now: float) -> tuple[float, float]:
    """`from` and `to` as Unix seconds; by default the last hour. ApiError 422 where the range is empty or too old."""
    end = now if stop is None else min(instant("to", stop), now)
    begin = end - 3600 if start is None else instant("from", start)
    if not end - LONGEST_S <= begin < end:
        raise invalid("from", "is before `to`, before now, and at most 400 days before `to`")
    return begin, end


def step(asked: int | None, default: int, span_s: float) -> int:
    """The step in seconds; ApiError 422 where it gives more than 1500 points."""
    seconds = default if asked is None else asked
    if span_s / seconds > POINTS_MAX:
        raise invalid("step", f"gives more than {POINTS_MAX} points; ask for {int(span_s // POINTS_MAX) + 1} or more")
    return seconds
