"""Ranges and windows as callers write them: pure."""

from __future__ import annotations

import re

from server.kernel.errors import invalid
from server.kernel.times import instant

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


def span(start: str | None, stop: str | None, now: float) -> tuple[float, float]:
    """`from` and `to` as Unix seconds; by default the last hour. ApiError 422 where the range is empty or too old."""
    end = now if stop is None else min(instant("to", stop).timestamp(), now)
    begin = end - 3600 if start is None else instant("from", start).timestamp()
    if not end - LONGEST_S <= begin < end:
        raise invalid("from", "is before `to`, before now, and at most 400 days before `to`")
    return begin, end


def step(asked: int | None, default: int, span_s: float) -> int:
    """The step in seconds; ApiError 422 where it gives more than 1500 points."""
    seconds = default if asked is None else asked
    if span_s / seconds > POINTS_MAX:
        raise invalid("step", f"gives more than {POINTS_MAX} points; ask for {int(span_s // POINTS_MAX) + 1} or more")
    return seconds
