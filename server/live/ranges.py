"""Ranges of time as callers write them, and which tables answer a question about one: pure.

Whole hours come from `hours`, whole minutes from `minutes`, and the ragged ends
from `deltas` by second while those are kept. Older ends are widened to whole
minutes, and to whole hours where minute sketches have been dropped. Where the
rollups by service are whole, they stand for those minutes and hours.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import NamedTuple

from server.kernel.errors import invalid
from server.kernel.times import instant

MINUTE_S = 60
TEN_MINUTES_S = 600
HOUR_S = 3600
HALF_DAY_S = 12 * HOUR_S
SECONDS_KEPT_S = 900
SKETCHES_KEPT_S = 7 * 86400 - HOUR_S

Span = tuple[int, int]  # Unix seconds, half-open

WINDOW = re.compile(r"([1-9][0-9]{0,7})(s|m|h|d)", re.ASCII)
UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_S = 400 * 86400  # hours are kept for 400 days
POINTS_MAX = 1500


@dataclass(frozen=True, slots=True)
class Pieces:
    """The range really answered, [start, stop), and its spans by table; none of them overlap.

    `unfolded` is the span of minutes and hours: deltas that are not in them yet are added.
    """

    start: int
    stop: int
    seconds: tuple[Span, ...]
    minutes: tuple[Span, ...]
    hours: tuple[Span, ...]
    unfolded: tuple[Span, ...]
    services: tuple[tuple[int, Span], ...] = ()  # from the rollups by service: the seconds of a row, and the span


class Cover(NamedTuple):
    """From when on the rollups by service are whole, Unix seconds; None: nowhere yet."""

    minutes_since: float | None
    hours_since: float | None
    halves_until: float | None  # half days are made up to here


NOTHING_COVERED = Cover(None, None, None)


def by_service(pieces: Pieces, cover: Cover, step: int, *, minutes: bool) -> Pieces:
    """The pieces, with what is covered from the rollups by service.

    `step` in seconds, 0 where there is one answer for all; `minutes`: whether they have any of what is asked for.
    """
    fine, left = taken(pieces.minutes, cover.minutes_since if minutes else None, step, MINUTE_S, TEN_MINUTES_S)
    until = cover.halves_until or 0
    coarse, hours = taken(pieces.hours, cover.hours_since, step, HOUR_S, HALF_DAY_S, longer_until=until)
    return replace(pieces, minutes=left, hours=hours, services=(*coarse, *fine))


def taken(
    asked: tuple[Span, ...], since: float | None, step: int, unit: int, longer: int, *, longer_until: float = math.inf
) -> tuple[list[tuple[int, Span]], tuple[Span, ...]]:
    """What of the spans is covered `since`, in rows of `unit` and, where steps and `longer_until` allow, of `longer`;
    and what is left."""
    covered, left = list[tuple[int, Span]](), list[Span]()
    for start, stop in asked:
        first = stop if since is None else min(stop, max(start, up(int(since), unit)))
        left += spans((start, first))
        l0, l1 = up(first, longer), down(int(min(stop, longer_until)), longer)
        if step % longer or l0 >= l1:
            l0 = l1 = stop
        covered += [(longer, span) for span in spans((l0, l1))]
        covered += [(unit, span) for span in spans((first, l0), (l1, stop))]
    return covered, tuple(left)


def plan(start: float, stop: float, now: float, step: int = HOUR_S) -> Pieces:
    """The pieces of [start, stop), Unix seconds, that can be told apart by steps of `step` seconds."""
    first, last = widened(start, stop, now)
    m0, m1 = up(first, MINUTE_S), down(last, MINUTE_S)
    if m0 >= m1 or step % MINUTE_S:
        return Pieces(first, last, spans((first, last)), (), (), ())
    h0, h1 = up(m0, HOUR_S), down(m1, HOUR_S)
    whole = () if step % HOUR_S else spans((h0, h1))
    minutes = spans((m0, h0), (h1, m1)) if whole else spans((m0, m1))
    return Pieces(first, last, spans((first, m0), (m1, last)), minutes, whole, ((m0, m1),))


def widened(start: float, stop: float, now: float) -> Span:
    """The range in whole seconds, or in what is kept of its age."""
    first, last = int(start // 1), int(-(-stop // 1))
    if first < now - SKETCHES_KEPT_S:
        first = down(first, HOUR_S)
    elif first < now - SECONDS_KEPT_S:
        first = down(first, MINUTE_S)
    if last < now - SKETCHES_KEPT_S:
        last = up(last, HOUR_S)
    elif last < now - SECONDS_KEPT_S:
        last = up(last, MINUTE_S)
    return first, last


def spans(*candidates: Span) -> tuple[Span, ...]:
    """Those that are not empty."""
    return tuple(span for span in candidates if span[0] < span[1])


def down(second: int, unit: int) -> int:
    return second // unit * unit


def up(second: int, unit: int) -> int:
    return -(-second // unit) * unit


def step_for(start: float, now: float, wanted: int) -> int:
    """The step a series can have from `start`: `wanted`, or the next whole minutes or hours that are kept."""
    if start < now - SKETCHES_KEPT_S:
        return up(wanted, HOUR_S)
    if start < now - SECONDS_KEPT_S:
        return up(wanted, MINUTE_S)
    return wanted


def default_step(span_s: float) -> int:
    """A step that gives 60 to 180 points."""
    return next((step for step in (1, 5, 10, 60, 300, 600, 1800, 3600, 6 * 3600) if span_s / step <= 180), 86400)


def asked_window_s(text: str) -> int:
    """`5m` as seconds, from 1s to 400d; ApiError 422."""
    found = WINDOW.fullmatch(text)
    seconds = int(found[1]) * UNIT_S[found[2]] if found else 0
    if not 1 <= seconds <= LONGEST_S:
        raise invalid("window", "is a number and s, m, h or d, as in 5m; at most 400d")
    return seconds


def asked_range(start: str | None, stop: str | None, now: float) -> tuple[float, float]:
    """`from` and `to` as Unix seconds; by default the last hour. ApiError 422 where the range is empty or too old."""
    end = now if stop is None else min(instant("to", stop).timestamp(), now)
    begin = end - 3600 if start is None else instant("from", start).timestamp()
    if not end - LONGEST_S <= begin < end:
        raise invalid("from", "is before `to`, before now, and at most 400 days before `to`")
    return begin, end


def asked_step(asked: int | None, default: int, span_s: float) -> int:
    """The step in seconds; ApiError 422 where it gives more than 1500 points."""
    seconds = default if asked is None else asked
    if span_s / seconds > POINTS_MAX:
        raise invalid("step", f"gives more than {POINTS_MAX} points; ask for {int(span_s // POINTS_MAX) + 1} or more")
    return seconds
