"""Which tables answer a question about a range of time: pure.

Whole hours come from `hours`, whole minutes from `minutes`, and the ragged ends
from `deltas` by second while those are kept. Older ends are widened to whole
minutes, and to whole hours where minute sketches have been dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

MINUTE_S = 60
HOUR_S = 3600
SECONDS_KEPT_S = 900
SKETCHES_KEPT_S = 7 * 86400 - HOUR_S

Span = tuple[int, int]  # Unix seconds, half-open


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
