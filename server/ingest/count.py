"""Outcomes to what is stored: one row each, and counts by series and second.

What is done for every outcome stands in comprehensions over native calls: this is
the only Python work per outcome, and it is written for speed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter

from server.ingest.outcome import Outcome
from server.ingest.rows import (
    DELTA,
    EPOCH_2000,
    PACKERS,
    UNTIMED_PACKERS,
    Detail,
    Packers,
    detail_bytes,
    packed,
    request_ids,
)
from server.ingest.series import Name, Series, Spelling
from server.live.sketch import bucket

Find = Callable[[Spelling], Series | None]
Thresholds = Callable[[str], tuple[int, ...]]

spelling_of: Callable[[Outcome], Spelling] = attrgetter("service", "version", "route", "method", "status")
detail_of = attrgetter("trace_id", "error_class", "dependency", "client", "instance")
NO_DETAIL = (None,) * 5


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

    def __init__(self, second: int, find: Find, unnumbered: set[Spelling]) -> None:
        self.second = second
        self.find = find
        self.unnumbered = unnumbered

    def __missing__(self, spelling: Spelling) -> Cell:
        series = self.find(spelling)
        if series is None:
            self.unnumbered.add(spelling)
            return UNKNOWN
        cell = self[spelling] = Cell(series, self.second)
        return cell


class Seconds(dict[int, Second]):
    """The cells of a batch, by second."""

    def __init__(self, find: Find) -> None:
        self.find = find
        self.unnumbered: set[Spelling] = set()

    def __missing__(self, second: int) -> Second:
        cells = self[second] = Second(second, self.find, self.unnumbered)
        return cells


UNKNOWN = Cell(Series(0, Name("", "", "", "", 0)), 0)  # stands for what has no number yet


class Unnumbered(Exception):
    """Some series have no number yet."""

    def __init__(self, spellings: set[Spelling]) -> None:
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
        packers = PACKERS if timed else UNTIMED_PACKERS
        rows = rows_of(outcomes, times, cells, durations=durations, bads=bads, random=random, packers=packers)
    counted = [cell for second in seconds.values() for cell in second.values()]
    for cell in counted:
        cell.timed = timed
    return Counted(counted, rows, len(outcomes))


def rows_of(
    outcomes: Sequence[Outcome],
    times: Sequence[int],
    cells: Sequence[Cell],
    *,
    durations: Sequence[int],
    bads: Sequence[bool],
    random: bytes,
    packers: Packers,
) -> bytes:
    """The outcomes as rows of a binary COPY; those without a request id get one."""
    prefix, number = request_ids(max(times, default=0), random)
    ids = [
        b"%b%012x" % (prefix, place) if outcome.request_id is None else outcome.request_id.encode()
        for place, outcome in enumerate(outcomes, number)
    ]
    details = [None if values == NO_DETAIL else detail_bytes(Detail(*values)) for values in map(detail_of, outcomes)]
    return b"".join([
        packers[len(request_id)](
            6, 8, at - EPOCH_2000, 4, cell.series_id, 8, duration, 1, bad, len(request_id), request_id,
            -1 if detail is None else len(detail),
        ) + (detail or b"")
        for at, cell, duration, bad, request_id, detail in zip(
            times, cells, durations, bads, ids, details, strict=True
        )
    ])  # fmt: skip


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


def delta_rows(writer_id: int, seq: int, cells: Iterable[Cell], thresholds: Thresholds) -> list[bytes]:
    """The deltas of one flush, encoded."""
    return [delta(writer_id, seq, cell, thresholds(cell.series.name.service)) for cell in cells]


def delta(writer_id: int, seq: int, cell: Cell, thresholds: tuple[int, ...]) -> bytes:
    """Of durations that are not known there is no sum, no threshold and no sketch."""
    good, bad = cell.good, cell.bad
    n = len(good) + len(bad)
    at = cell.second * 1_000_000 - EPOCH_2000
    sketch: Counter[int] = Counter()
    fast: dict[int, int] = {}
    total = 0
    if cell.timed:
        sketch.update(map(bucket, good))
        sketch.update(map(bucket, bad))
        fast = {threshold: sum(map(threshold.__ge__, good)) for threshold in thresholds}
        total = sum(good) + sum(bad)
    head = DELTA.pack(9, 8, writer_id, 8, seq, 4, cell.series.id, 8, at, 4, n, 4, len(bad), 8, total)
    return head + packed(fast) + packed(sketch)
