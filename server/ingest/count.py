"""Outcomes to what is stored: one row each, and counts by series and second.

The loop in `count` is the only work in Python that is done for every outcome; it
is written for speed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from server.ingest.outcome import Outcome
from server.ingest.rows import DELTA, EPOCH_2000, Detail, detail_bytes, packed, packer, request_ids
from server.ingest.series import Series, Spelling
from server.live.sketch import bucket

Find = Callable[[Spelling], Series | None]
Thresholds = Callable[[str], tuple[int, ...]]


class Cell:
    """One series in one second: the durations, in microseconds, of its good and its bad outcomes."""

    __slots__ = ("bad", "good", "second", "series")

    def __init__(self, series: Series, second: int) -> None:
        self.series = series
        self.second = second
        self.good: list[int] = []
        self.bad: list[int] = []


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


def count(outcomes: Sequence[Outcome], times: Sequence[int], find: Find, random: bytes | None) -> Counted:
    """Count a batch; raises Unnumbered. `random` is 10 bytes for request ids, None: keep no raw outcomes."""
    cells: dict[int, dict[Spelling, Cell]] = {}
    unnumbered: set[Spelling] = set()
    rows: list[bytes] = []
    prefix, number = request_ids(max(times, default=0), random or bytes(10))
    keep = random is not None
    plain = packer(36)
    current = -1
    here: dict[Spelling, Cell] = {}
    for outcome, at in zip(outcomes, times, strict=True):
        second = at // 1_000_000
        if second != current:
            current = second
            here = cells.setdefault(second, {})
        spelling = (outcome.service, outcome.version, outcome.route, outcome.method, outcome.status)
        cell = here.get(spelling)
        if cell is None:
            series = find(spelling)
            if series is None:
                unnumbered.add(spelling)
                continue
            cell = here[spelling] = Cell(series, second)
        duration_us = int(outcome.duration_ms * 1000 + 0.5)
        bad = outcome.status >= 500 if outcome.error is None else outcome.error
        (cell.bad if bad else cell.good).append(duration_us)
        if keep:
            number += 1
            if outcome.request_id is None:
                request_id = b"%b%012x" % (prefix, number)
                pack = plain
            else:
                request_id = outcome.request_id.encode()
                pack = packer(len(request_id))
            detail = detail_of(outcome)
            row = pack(
                6, 8, at - EPOCH_2000, 4, cell.series.id, 8, duration_us, 1, bad,
                len(request_id), request_id, -1 if detail is None else len(detail),
            )  # fmt: skip
            rows.append(row if detail is None else row + detail)
    if unnumbered:
        raise Unnumbered(unnumbered)
    every = [cell for second_cells in cells.values() for cell in second_cells.values()]
    return Counted(every, b"".join(rows), len(outcomes))


def detail_of(o: Outcome) -> bytes | None:
    """What is kept beside the outcome, encoded; None where nothing was sent."""
    if o.trace_id is o.error_class is o.dependency is o.client is o.instance is None:
        return None
    return detail_bytes(Detail(o.trace_id, o.error_class, o.dependency, o.client, o.instance))


def merged(cells: Iterable[Cell]) -> list[Cell]:
    """One cell for each series and second; the given ones stay as they are."""
    by_key: dict[tuple[int, int], Cell] = {}
    for cell in cells:
        key = (cell.series.id, cell.second)
        into = by_key.get(key)
        if into is None:
            into = by_key[key] = Cell(cell.series, cell.second)
        into.good += cell.good
        into.bad += cell.bad
    return [by_key[key] for key in sorted(by_key)]


def delta_rows(writer_id: int, seq: int, cells: Iterable[Cell], thresholds: Thresholds) -> list[bytes]:
    """The deltas of one flush, encoded."""
    return [delta(writer_id, seq, cell, thresholds(cell.series.name.service)) for cell in cells]


def delta(writer_id: int, seq: int, cell: Cell, thresholds: tuple[int, ...]) -> bytes:
    good, bad = cell.good, cell.bad
    sketch: Counter[int] = Counter(map(bucket, good))
    if bad:
        sketch.update(map(bucket, bad))
    fast = {threshold: sum(map(threshold.__ge__, good)) for threshold in thresholds}
    n = len(good) + len(bad)
    at = cell.second * 1_000_000 - EPOCH_2000
    total = sum(good) + sum(bad)
    head = DELTA.pack(9, 8, writer_id, 8, seq, 4, cell.series.id, 8, at, 4, n, 4, len(bad), 8, total)
    return head + packed(fast) + packed(sketch)
