"""What burns, from 15 minutes before its onset, as SVG that needs no script: the error ratio, or the p95.

The plot stretches with its card: x runs from 0 to 1000, y from 0 (the top) to 130.
What must not stretch, marks and words, is placed by percentages of the width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from dashboard.changes.page import LETTERS
from dashboard.now.sparkline import scale_top
from dashboard.shared.format import ms, percent
from server.changes.store import Change

WIDTH, HEIGHT = 1000, 130

Value = tuple[float, float | None]  # Unix seconds at the beginning of a step, and the value; None: nothing was counted


class ChartSpan(NamedTuple):
    """What a chart shows, [start, end), when it began to burn, and when that seems to have ended; Unix seconds."""

    start: float
    end: float
    onset: float
    over: float | None = None


class Words(NamedTuple):
    """Its title with the unit, and the value at the upper edge."""

    title: str
    top: str


class Mark(Struct):
    """A change on the chart: its letter, where it stands in per cent of the width, and what it says."""

    x: float
    letter: str
    text: str


class ShadedSpan(Struct):
    """A time on the chart, in per cent of the width."""

    x: float
    width: float


class BurnChart(Struct):
    """What the template draws. `line` is all of it, `over` what lies above the threshold; marks stand in per cent."""

    title: str  # Error ratio, %
    top: str  # the value at the upper edge, with its unit

    start: float
    end: float
    line: str
    over: str
    threshold_y: float | None
    onset_x: float | None  # in per cent of the width
    over_x: float  # where what burnt ended; at the right edge while it goes on
    marks: list[Mark]
    shaded: list[ShadedSpan] = []  # maintenance


def ratio_chart(
    values: Sequence[Value], span: ChartSpan, allowed: float | None, changes: Sequence[Change]
) -> BurnChart:
    """Ratios from 0 to 1; `allowed` is the one that the objective allows."""
    top = min(1.0, scale_top([value for _, value in values], allowed))
    words = Words("Error ratio, %", percent(top))
    return burn_chart(words, values, top, span, threshold=allowed, changes=changes)


def latency_chart(
    values: Sequence[Value], span: ChartSpan, threshold: float | None, changes: Sequence[Change]
) -> BurnChart:
    """p95 in milliseconds, over the threshold of the objective."""
    top = scale_top([value for _, value in values], threshold)
    return burn_chart(Words("p95, ms", ms(top)), values, top, span, threshold=threshold, changes=changes)


def burn_chart(
    words: Words,
    values: Sequence[Value],
    top: float,
    span: ChartSpan,
    *,
    threshold: float | None,
    changes: Sequence[Change],
) -> BurnChart:
    """The chart of a span, with the changes in it."""

    def x_of(at: float, width: float) -> float:
        return round((at - span.start) / (span.end - span.start) * width, 1)

    points = [(x_of(at, WIDTH), None if value is None else y_of(value, top)) for at, value in values]
    high = [value is not None and value > (threshold or 0.0) for _, value in values]
    return BurnChart(
        title=words.title,
        top=words.top,
        start=span.start,
        end=span.end,
        line=path(points),
        over=path([(x, y if over else None) for (x, y), over in zip(points, high, strict=True)]),
        threshold_y=None if threshold is None else y_of(threshold, top),
        onset_x=x_of(span.onset, 100) if span.start <= span.onset < span.end else None,
        over_x=100.0 if span.over is None else x_of(min(max(span.over, span.onset), span.end), 100),
        marks=[
            Mark(x_of(change.at.timestamp(), 100), LETTERS.get(change.kind, "?"), change.summary)
            for change in reversed(changes)
            if span.start <= change.at.timestamp() < span.end
        ],
        shaded=[
            ShadedSpan(x_of(start, 100), round(x_of(stop, 100) - x_of(start, 100), 1))
            for start, stop in maintenance(changes, span)
        ],
    )


def maintenance(changes: Sequence[Change], span: ChartSpan) -> list[tuple[float, float]]:
    """When there was maintenance, within a span; what is not over goes on to its end."""
    found = []
    for one in changes:
        stop = span.end if one.finished is None else min(one.finished.timestamp(), span.end)
        start = max(one.at.timestamp(), span.start)
        if one.kind == "maintenance" and start < stop:
            found.append((start, stop))
    return found


def y_of(value: float, top: float) -> float:
    return round(HEIGHT - HEIGHT * min(value / top, 1.0), 1)


def path(points: Sequence[tuple[float, float | None]]) -> str:
    """SVG path data: `M` begins a run, `L` goes on; a step without a value is a gap, never bridged."""
    parts: list[str] = []
    begun = False
    for x, y in points:
        if y is None:
            begun = False
            continue
        parts.append(f"L{x:g} {y:g}" if begun else f"M{x:g} {y:g}h0")
        begun = True
    return "".join(parts)
