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
from typing import NamedTuple

from server.ingest.counted import Cell, Counted, Find, Thresholds, Unnumbered
from server.ingest.native import compiled
from server.ingest.outcome import Outcome
from server.ingest.rows import DELTAS, OUTCOMES, details, ids_of, packed
from server.ingest.series import Name, Series, Spelling
from server.live.sketch import bucket

spelling_of: Callable[[Outcome], Spelling] = attrgetter("service", "version", "route", "method", "status")
weight_of: Callable[[Outcome], int] = attrgetter("weight")
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
    """The deltas of one flush, encoded: one for each series and second. The batches are all timed, or none is.

    Those that only the Python code knows are counted apart, as long as they have no series and second with others.
    """
    rest = [batch for batch in batches if not batch.plain]
    if compiled is None or not apart(batches, rest):
        return delta_rows_in_python(writer_id, seq, batches, thresholds)
    plain = [batch for batch in batches if batch.plain] if rest else batches
    rows = compiled.delta_rows(writer_id, seq, plain, thresholds, DELTAS.columns)
    if rows is None:
        return delta_rows_in_python(writer_id, seq, batches, thresholds)
    return rows + delta_rows_in_python(writer_id, seq, rest, thresholds) if rest else rows


def apart(batches: Sequence[Counted], rest: Sequence[Counted]) -> bool:
    """Whether the rest of the batches has no cell with the others."""
    if not rest:
        return True
    cells = {(series.id, second) for batch in rest for series, second in batch.cells}
    return not any((series.id, second) in cells for batch in batches if batch.plain for series, second in batch.cells)


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
    weights, within = weights_of(outcomes), within_of(outcomes)
    return Counted(cells, placed, array("q", durations), services, rows, timed, weights, within)


def weights_of(outcomes: Sequence[Outcome]) -> array[int] | None:
    """How many requests each stands for; None where each is one."""
    weights = array("i", map(weight_of, outcomes))
    return None if weights.count(1) == len(weights) else weights


def within_of(outcomes: Sequence[Outcome]) -> dict[int, tuple[int, int]]:
    """The borders of those by place of which only a bucket is known, in microseconds."""
    return {
        place: (round(outcome.within_ms[0] * 1000), round(outcome.within_ms[1] * 1000))
        for place, outcome in enumerate(outcomes)
        if outcome.within_ms is not None
    }


class WeightedOutcome(NamedTuple):
    """It stands for so many requests that took so long, in microseconds, or what is `within`."""

    took: int
    weight: int
    bad: bool
    within: tuple[int, int] | None

    def splits(self, threshold: int) -> bool:
        """Whether nobody knows how many of them took longer."""
        return self.within is not None and self.within[0] < threshold < self.within[1]


class MergedCell:
    """One series in one second, of all batches of a flush: the durations of its good and its bad outcomes, and apart
    the outcomes that stand for more than one request."""

    __slots__ = ("bad", "good", "second", "series", "timed", "weighted")

    def __init__(self, series: Series, second: int, *, timed: bool) -> None:
        self.series = series
        self.second = second
        self.timed = timed
        self.good: list[int] = []
        self.bad: list[int] = []
        self.weighted: list[WeightedOutcome] = []

    @property
    def n(self) -> int:
        """How many requests."""
        return len(self.good) + len(self.bad) + sum(one.weight for one in self.weighted)

    @property
    def n_bad(self) -> int:
        """How many of them are bad."""
        return len(self.bad) + sum(one.weight for one in self.weighted if one.bad)

    @property
    def duration_us(self) -> int:
        """What they took together; 0 where that is not known."""
        if not self.timed:
            return 0
        return sum(self.good) + sum(self.bad) + sum(one.took * one.weight for one in self.weighted)


def merged(batches: Iterable[Counted]) -> list[MergedCell]:
    """One for each series and second, in their order."""
    by_key: dict[tuple[int, int], MergedCell] = {}
    for batch in batches:
        durations: list[list[int]] = []  # by place
        cells: list[MergedCell] = []
        for series, second in batch.cells:
            delta = by_key.get((series.id, second))
            if delta is None:
                delta = by_key[series.id, second] = MergedCell(series, second, timed=batch.timed)
            durations += [delta.good, delta.bad]
            cells.append(delta)
        if batch.weights is None and not batch.within:
            for place, took in zip(batch.places, batch.durations, strict=True):
                durations[place].append(took)
            continue
        weights = batch.weights or repeat(1)
        for at, (place, took, weight) in enumerate(zip(batch.places, batch.durations, weights, strict=False)):
            one = WeightedOutcome(took, weight, bool(place & 1), batch.within.get(at))
            cells[place >> 1].weighted.append(one)
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
            "n": [delta.n for delta in deltas],
            "bad": [delta.n_bad for delta in deltas],
            "duration_us": [delta.duration_us for delta in deltas],
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
        for one in delta.weighted:
            found[bucket(one.took)] += one.weight
    return found


def fast(delta: MergedCell, thresholds: tuple[int, ...]) -> dict[int, int]:
    """How many good outcomes took at most each threshold; nothing of durations that are not known, nor of a threshold
    within a bucket that some are in."""
    if not delta.timed:
        return {}
    weighted = [one for one in delta.weighted if not one.bad]
    return {
        threshold: sum(map(threshold.__ge__, delta.good)) + sum(one.weight for one in weighted if one.took <= threshold)
        for threshold in thresholds
        if not any(one.splits(threshold) for one in weighted)
    }
