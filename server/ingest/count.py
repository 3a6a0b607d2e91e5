"""Outcomes to what is stored: one row each, and counts by series and second.

What is done for every outcome stands in comprehensions over native calls: this is
the only Python work per outcome, and it is written for speed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from operator import attrgetter

from server.ingest.outcome import Outcome
from server.ingest.rows import DELTAS, OUTCOMES, details, ids_of, packed
from server.ingest.series import Name, Series, Spelling
from server.live.sketch import bucket

Find = Callable[[Spelling], Series | None]
Thresholds = Callable[[str], tuple[int, ...]]

spelling_of: Callable[[Outcome], Spelling] = attrgetter("service", "version", "route", "method", "status")


class Cell:
    """One series in one second: the durations, in microseconds, of its good and its bad outcomes.

    `timed` False: they are not known, and only their number counts. A flush has cells of one kind.
    """

    __slots__ = ("bad", "good", "second", "series", "series_id", "timed")

    def __init__(self, series: Series, second: int) -> None:
        self.series = series
        self.series_id = series.id
        self.second = second
        self.timed = True
        self.good: list[int] = []
        self.bad: list[int] = []


class Second(dict[Spelling, Cell]):
    """The cells of one second, made as they are asked for."""

    def __init__(self, second: int, find: Find, unnumbered: dict[Spelling, int]) -> None:
        self.second = second
        self.find = find
        self.unnumbered = unnumbered

    def __missing__(self, spelling: Spelling) -> Cell:
        series = self.find(spelling)
        if series is None:
            self.unnumbered[spelling] = min(self.second, self.unnumbered.get(spelling, self.second))
            return UNKNOWN
        cell = self[spelling] = Cell(series, self.second)
        return cell


class Seconds(dict[int, Second]):
    """The cells of a batch, by second."""

    def __init__(self, find: Find) -> None:
        self.find = find
        self.unnumbered: dict[Spelling, int] = {}

    def __missing__(self, second: int) -> Second:
        cells = self[second] = Second(second, self.find, self.unnumbered)
        return cells


UNKNOWN = Cell(Series(0, Name("", "", "", "", 0)), 0)  # stands for what has no number yet


class Unnumbered(Exception):
    """Some series have no number yet. `spellings` are what was sent, each with its first second."""

    def __init__(self, spellings: dict[Spelling, int]) -> None:
        super().__init__(f"{len(spellings)} series")
        self.spellings = spellings


class Counted:
    """A batch ready to be stored."""

    __slots__ = ("cells", "items", "rows")

    def __init__(self, cells: list[Cell], rows: bytes, items: int) -> None:
        self.cells = cells
        self.rows = rows
        self.items = items

    def services(self) -> Counter[str]:
        """How many outcomes of each service."""
        counts: Counter[str] = Counter()
        for cell in self.cells:
            counts[cell.series.name.service] += len(cell.good) + len(cell.bad)
        return counts


def count(
    outcomes: Sequence[Outcome], times: Sequence[int], find: Find, random: bytes | None, *, timed: bool = True
) -> Counted:
    """Count a batch; raises Unnumbered. `random` is 10 bytes for request ids, None: keep no raw outcomes.

    `timed` False: what took how long is not known, whatever the outcomes say.
    """
    seconds = Seconds(find)
    spellings = map(spelling_of, outcomes)
    cells = [seconds[at // 1_000_000][spelling] for at, spelling in zip(times, spellings, strict=True)]
    if seconds.unnumbered:
        raise Unnumbered(seconds.unnumbered)
    durations = [int(outcome.duration_ms * 1000 + 0.5) for outcome in outcomes]
    bads = [outcome.status >= 500 if outcome.error is None else outcome.error for outcome in outcomes]
    for cell, duration, bad in zip(cells, durations, bads, strict=True):
        (cell.bad if bad else cell.good).append(duration)
    rows = b""
    if random is not None:
        rows = OUTCOMES.rows(
            {
                "at": times,
                "series_id": [cell.series_id for cell in cells],
                "duration_us": durations if timed else None,
                "bad": bads,
                "request_id": ids_of(outcomes, times, random),
                "detail": details(outcomes),
            }
        )
    counted = [cell for second in seconds.values() for cell in second.values()]
    for cell in counted:
        cell.timed = timed
    return Counted(counted, rows, len(outcomes))


def merged(cells: Iterable[Cell]) -> list[Cell]:
    """One cell for each series and second; the given ones stay as they are."""
    by_key: dict[tuple[int, int], Cell] = {}
    for cell in cells:
        key = (cell.series.id, cell.second)
        into = by_key.get(key)
        if into is None:
            into = by_key[key] = Cell(cell.series, cell.second)
            into.timed = cell.timed
        into.good += cell.good
        into.bad += cell.bad
    return [by_key[key] for key in sorted(by_key)]


def delta_rows(writer_id: int, seq: int, cells: Sequence[Cell], thresholds: Thresholds) -> bytes:
    """The deltas of one flush, encoded."""
    sketches = [sketch(cell) for cell in cells]
    fasts = [fast(cell, thresholds(cell.series.name.service)) for cell in cells]
    return DELTAS.rows(
        {
            "writer_id": repeat(writer_id),
            "seq": repeat(seq),
            "series_id": [cell.series_id for cell in cells],
            "second": [cell.second * 1_000_000 for cell in cells],
            "n": [len(cell.good) + len(cell.bad) for cell in cells],
            "bad": [len(cell.bad) for cell in cells],
            "duration_us": [sum(cell.good) + sum(cell.bad) if cell.timed else 0 for cell in cells],
            "fast": map(packed, fasts),
            "sketch": map(packed, sketches),
        }
    )


def sketch(cell: Cell) -> dict[int, int]:
    """How many of a cell's durations are in each bucket; of durations that are not known, none."""
    found: Counter[int] = Counter()
    if cell.timed:
        found.update(map(bucket, cell.good))
        found.update(map(bucket, cell.bad))
    return found


def fast(cell: Cell, thresholds: tuple[int, ...]) -> dict[int, int]:
    """How many good outcomes of a cell took at most each threshold; of durations that are not known, nothing."""
    return {threshold: sum(map(threshold.__ge__, cell.good)) for threshold in thresholds} if cell.timed else {}
