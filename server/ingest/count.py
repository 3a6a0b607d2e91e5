"""Outcomes to what is stored: one row each, and counts by series and second.

The compiled part does it where there is one. The Python code here does the same, and is written for speed too: what
is done for every outcome stands in comprehensions over native calls.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from operator import attrgetter

from server.ingest.counted import Cell, Counted, Find, Thresholds, Unnumbered
from server.ingest.native import compiled
from server.ingest.outcome import Outcome
from server.ingest.rows import DELTAS, OUTCOMES, details, ids_of, packed
from server.ingest.series import Name, Series, Spelling
from server.live.sketch import bucket

spelling_of: Callable[[Outcome], Spelling] = attrgetter("service", "version", "route", "method", "status")
NONE_KNOWN: Mapping[Spelling, Series] = {}


def count(
    outcomes: Sequence[Outcome],
    times: Sequence[int],
    find: Find,
    random: bytes | None,
    known: Mapping[Spelling, Series] = NONE_KNOWN,
    *,
    timed: bool = True,
) -> Counted:
    """Count a batch; raises Unnumbered. `random` is 10 bytes for request ids, None: keep no raw outcomes.

    `known` has some of what `find` finds, to save asking it. `timed` False: what took how long is not known, whatever
    the outcomes say.
    """
    if compiled is not None:
        counted = compiled.count(outcomes, times, known, find, random, timed, OUTCOMES.columns)
        if counted is not None:
            return counted
    return count_in_python(outcomes, times, find, random, timed=timed)


def delta_rows(writer_id: int, seq: int, batches: Sequence[Counted], thresholds: Thresholds) -> bytes:
    """The deltas of one flush, encoded: one for each series and second. The batches are all timed, or none is."""
    if compiled is not None:
        rows = compiled.delta_rows(writer_id, seq, batches, thresholds, DELTAS.columns)
        if rows is not None:
            return rows
    return delta_rows_in_python(writer_id, seq, batches, thresholds)


class Second(dict[Spelling, int]):
    """The places of one second's cells, made as they are asked for."""

    def __init__(self, second: int, seconds: Seconds) -> None:
        self.second = second
        self.seconds = seconds

    def __missing__(self, spelling: Spelling) -> int:
        self[spelling] = place = self.seconds.place_of(spelling, self.second)
        return place


class Seconds(dict[int, Second]):
    """The cells of a batch, in the order in which they are asked for, by second and spelling."""

    def __init__(self, find: Find) -> None:
        self.find = find
        self.cells: list[Cell] = []
        self.unnumbered: dict[Spelling, int] = {}

    def __missing__(self, second: int) -> Second:
        self[second] = places = Second(second, self)
        return places

    def place_of(self, spelling: Spelling, second: int) -> int:
        series = self.find(spelling)
        if series is None:
            self.unnumbered[spelling] = min(second, self.unnumbered.get(spelling, second))
            series = UNKNOWN
        self.cells.append((series, second))
        return 2 * len(self.cells) - 2


UNKNOWN = Series(0, Name("", "", "", "", 0))  # stands for what has no number yet


def count_in_python(
    outcomes: Sequence[Outcome], times: Sequence[int], find: Find, random: bytes | None, *, timed: bool = True
) -> Counted:
    """`count`, where nothing is compiled."""
    seconds = Seconds(find)
    spellings = map(spelling_of, outcomes)
    places = [seconds[at // 1_000_000][spelling] for at, spelling in zip(times, spellings, strict=True)]
    if seconds.unnumbered:
        raise Unnumbered(seconds.unnumbered)
    durations = [int(outcome.duration_ms * 1000 + 0.5) for outcome in outcomes]
    bads = [outcome.status >= 500 if outcome.error is None else outcome.error for outcome in outcomes]
    cells = seconds.cells
    rows = b""
    if random is not None:
        rows = OUTCOMES.rows(
            {
                "at": times,
                "series_id": [cells[place >> 1][0].id for place in places],
                "duration_us": durations if timed else None,
                "bad": bads,
                "request_id": ids_of(outcomes, times, random),
                "detail": details(outcomes),
            }
        )
    services: dict[str, int] = {}
    for place, n in Counter(places).items():
        service = cells[place >> 1][0].name.service
        services[service] = services.get(service, 0) + n
    placed = array("i", [place + bad for place, bad in zip(places, bads, strict=True)])
    return Counted(cells, placed, array("q", durations), services, rows, timed)


class MergedCell:
    """One series in one second, of all batches of a flush: the durations of its good and its bad outcomes."""

    __slots__ = ("bad", "good", "second", "series", "timed")

    def __init__(self, series: Series, second: int, *, timed: bool) -> None:
        self.series = series
        self.second = second
        self.timed = timed
        self.good: list[int] = []
        self.bad: list[int] = []


def merged(batches: Iterable[Counted]) -> list[MergedCell]:
    """One for each series and second, in their order."""
    by_key: dict[tuple[int, int], MergedCell] = {}
    for batch in batches:
        durations: list[list[int]] = []  # by place
        for series, second in batch.cells:
            delta = by_key.get((series.id, second))
            if delta is None:
                delta = by_key[series.id, second] = MergedCell(series, second, timed=batch.timed)
            durations += [delta.good, delta.bad]
        for place, took in zip(batch.places, batch.durations, strict=True):
            durations[place].append(took)
    return [by_key[key] for key in sorted(by_key)]


def delta_rows_in_python(writer_id: int, seq: int, batches: Iterable[Counted], thresholds: Thresholds) -> bytes:
    """`delta_rows`, where nothing is compiled."""
    deltas = merged(batches)
    return DELTAS.rows(
        {
            "writer_id": repeat(writer_id),
            "seq": repeat(seq),
            "series_id": [delta.series.id for delta in deltas],
            "second": [delta.second * 1_000_000 for delta in deltas],
            "n": [len(delta.good) + len(delta.bad) for delta in deltas],
            "bad": [len(delta.bad) for delta in deltas],
            "duration_us": [sum(delta.good) + sum(delta.bad) if delta.timed else 0 for delta in deltas],
            "fast": [packed(fast(delta, thresholds(delta.series.name.service))) for delta in deltas],
            "sketch": map(packed, map(sketch, deltas)),
        }
    )


def sketch(delta: MergedCell) -> dict[int, int]:
    """How many of the durations are in each bucket; of durations that are not known, none."""
    found: Counter[int] = Counter()
    if delta.timed:
        found.update(map(bucket, delta.good))
        found.update(map(bucket, delta.bad))
    return found


def fast(delta: MergedCell, thresholds: tuple[int, ...]) -> dict[int, int]:
    """How many good outcomes took at most each threshold; of durations that are not known, nothing."""
    return {threshold: sum(map(threshold.__ge__, delta.good)) for threshold in thresholds} if delta.timed else {}
