"""The 120 by 28 charts of the last two minutes, as SVG path data.

One column is 2 s and 2 px wide. A column without a value breaks the line: nothing
is interpolated. Steps are relative, so that a line that moved by one column is
the same text but for its ends and compresses well on the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from server.live.service import Point

WIDTH, HEIGHT = 120, 28
SECONDS = 120
COLUMN_S = 2
COLUMNS = SECONDS // COLUMN_S
TOP_Y, BASE_Y = 2.0, 26.0

Value = Callable[[list[Point]], float | None]


class Sparkline(Struct):
    """What the template draws. `top` is the value at the upper edge; `silent_x` begins the hatched, blind part."""

    path: str
    top: float
    threshold_y: float | None = None
    silent_x: int | None = None


def error_ratio(points: list[Point]) -> float | None:
    """Bad of all in the column; nothing counted has no ratio."""
    n = sum(point.n for point in points)
    return sum(point.bad for point in points) / n if n else None


def slowest_p95(points: list[Point]) -> float | None:
    """The column's higher p95 in ms."""
    return max((point.p95_ms for point in points if point.p95_ms is not None), default=None)


def per_second(points: list[Point]) -> float:
    """Requests a second; a second without one is a true zero."""
    return sum(point.n for point in points) / COLUMN_S


def sparkline(
    points: Sequence[Point], end: int, value: Value, threshold: float | None = None, silent_s: int | None = None
) -> Sparkline:
    """The chart of [end - 120 s, end). `threshold` is drawn dashed; `silent_s` back from `end` is blind."""
    end -= end % COLUMN_S
    columns = gathered(points, end)
    seen = COLUMNS if silent_s is None else max(0, COLUMNS - silent_s // COLUMN_S)
    values = [value(column) for column in columns[:seen]]
    top = scale_top(values, threshold)
    return Sparkline(
        path(values, top),
        top,
        None if not threshold else round(y_of(threshold, top), 1),
        None if silent_s is None else seen * WIDTH // COLUMNS,
    )


def gathered(points: Iterable[Point], end: int) -> list[list[Point]]:
    """The points by column, oldest first."""
    columns: list[list[Point]] = [[] for _ in range(COLUMNS)]
    start = end - SECONDS
    for point in points:
        if start <= point.second < end:
            columns[(point.second - start) // COLUMN_S].append(point)
    return columns


def scale_top(values: Iterable[float | None], threshold: float | None) -> float:
    """The upper edge: at least twice the threshold and all that is shown, as 1, 2 or 5 times a power of ten."""
    highest = max((value for value in values if value), default=0.0)
    wanted = max(highest, 2 * (threshold or 0.0))
    if wanted <= 0:
        return 1.0
    power = 1e-9
    while power * 10 < wanted:
        power *= 10
    return next(step * power for step in (1, 2, 5, 10) if step * power >= wanted * (1 - 1e-9))


def y_of(value: float, top: float) -> float:
    return BASE_Y - (BASE_Y - TOP_Y) * min(value / top, 1.0)


def path(values: Sequence[float | None], top: float) -> str:
    """SVG path data: `M` begins a run, `l` steps; a run of one is a dot (with a round line cap)."""
    step = WIDTH // COLUMNS
    parts: list[str] = []
    before: int | None = None
    for index, value in enumerate(values):
        if value is None:
            before = None
            continue
        y = round(y_of(value, top) * 10)
        if before is None:
            parts.append(f"M{index * step + 1} {y / 10:g}h0")
        else:
            parts.append(f"l{step} {(y - before) / 10:g}")
        before = y
    return "".join(parts)
