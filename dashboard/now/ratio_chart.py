"""The error ratio of a burning service, from 15 minutes before its onset, as SVG that needs no script.

The plot stretches with its card: x runs from 0 to 1000, y from 0 (the top) to 130.
What must not stretch, marks and words, is placed by percentages of the width.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from dashboard.changes.page import LETTERS
from dashboard.now.sparkline import scale_top
from server.changes.store import Change

WIDTH, HEIGHT = 1000, 130

Value = tuple[float, float | None]  # Unix seconds at the beginning of a step, and the ratio; None: nothing was counted


class Mark(Struct):
    """A change on the chart: its letter, where it stands in per cent of the width, and what it says."""

    x: float
    letter: str
    text: str


class RatioChart(Struct):
    """What the template draws. `line` is all of it, `over` what lies above the threshold; `onset_x` in per cent."""

    start: float
    end: float
    top: float  # the ratio at the upper edge
    line: str
    over: str
    threshold_y: float | None
    onset_x: float | None
    marks: list[Mark]


def ratio_chart(
    values: Sequence[Value],
    start: float,
    end: float,
    *,
    onset: float | None = None,
    allowed: float | None = None,
    changes: Sequence[Change] = (),
) -> RatioChart:
    """The chart of [start, end), Unix seconds. `allowed` is the ratio that the objective allows."""
    top = min(1.0, scale_top([value for _, value in values], allowed))

    def x_of(at: float, width: float) -> float:
        return round((at - start) / (end - start) * width, 1)

    points = [(x_of(at, WIDTH), None if value is None else y_of(value, top)) for at, value in values]
    high = [value is not None and value > (allowed or 0.0) for _, value in values]
    return RatioChart(
        start=start,
        end=end,
        top=top,
        line=path(points),
        over=path([(x, y if over else None) for (x, y), over in zip(points, high, strict=True)]),
        threshold_y=None if allowed is None else y_of(allowed, top),
        onset_x=None if onset is None or not start <= onset < end else x_of(onset, 100),
        marks=[
            Mark(x_of(change.at.timestamp(), 100), LETTERS.get(change.kind, "?"), change.summary)
            for change in reversed(changes)
            if start <= change.at.timestamp() < end
        ],
    )


def y_of(ratio: float, top: float) -> float:
    return round(HEIGHT - HEIGHT * min(ratio / top, 1.0), 1)


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
