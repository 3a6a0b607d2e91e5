"""A batch once it is counted: its rows, and its outcomes by series and second."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from server.ingest.series import Series, Spelling
from server.tables.binary import rows_in

Find = Callable[[Spelling], Series | None]
Thresholds = Callable[[str], tuple[int, ...]]

Cell = tuple[Series, int]  # a series in one second


@dataclass(slots=True)
class Counted:
    """A batch ready to be stored.

    Outcome by outcome, `places` has twice the number of its cell, and 1 more where it is bad; `durations` the
    microseconds that it took, `weights` how many requests it stands for, None where each is one, and `within` the
    borders, in microseconds, of the bucket of those of which no more is known. `timed` False: durations are not known,
    and only the number of outcomes counts.
    """

    cells: list[Cell]
    places: array[int]
    durations: array[int]
    services: Mapping[str, int]  # how many outcomes of each
    rows: bytes = b""  # of a COPY; empty where raw outcomes are not kept
    timed: bool = True
    weights: array[int] | None = None
    within: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def items(self) -> int:
        return len(self.places)

    @property
    def plain(self) -> bool:
        """Whether each outcome is one request that took so long."""
        return self.weights is None and not self.within

    def without(self, left_out: Collection[int]) -> Counted:
        """It without the outcomes at these places."""
        kept = [at for at in range(self.items) if at not in left_out]
        numbers: dict[int, int] = {}  # of the cells that are left, by what they were before
        places = array("i")
        for at in kept:
            place = self.places[at]
            places.append(2 * numbers.setdefault(place >> 1, len(numbers)) + (place & 1))
        cells = [self.cells[number] for number in numbers]
        rows = rows_in(self.rows)
        services = Counter(cells[place >> 1][0].name.service for place in places)
        return Counted(
            cells,
            places,
            array("q", [self.durations[at] for at in kept]),
            services,
            b"".join([rows[at] for at in kept]) if rows else b"",
            self.timed,
            None if self.weights is None else array("i", [self.weights[at] for at in kept]),
            {place: self.within[at] for place, at in enumerate(kept) if at in self.within},
        )


def counted_of(cells: Mapping[Cell, tuple[Sequence[int], Sequence[int]]], *, timed: bool) -> Counted:
    """What is only counted: the durations of the good and of the bad outcomes of each cell."""
    places, durations, services = array("i"), array("q"), dict[str, int]()
    for number, ((series, _), of_both) in enumerate(cells.items()):
        for place, took in enumerate(of_both, 2 * number):
            places.extend([place] * len(took))
            durations.extend(took)
        name = series.name.service
        services[name] = services.get(name, 0) + sum(map(len, of_both))
    return Counted(list(cells), places, durations, services, timed=timed)


class Unnumbered(Exception):
    """Some series have no number yet. `spellings` are what was sent, each with its first second."""

    def __init__(self, spellings: dict[Spelling, int]) -> None:
        super().__init__(f"{len(spellings)} series")
        self.spellings = spellings
