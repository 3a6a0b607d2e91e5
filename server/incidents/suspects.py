"""What explains extra failures: the combinations of up to three values that hold more of them than of the traffic.

A combination with the share h of the extra failures and g of the traffic scores h ln(h/g) + (1-h) ln((1-h)/(1-g)):
how much a failure tells of belonging to it, in nats. A failure is extra by how far its cell fails more than it did
before; a cell is a combination of the first four dimensions, so that finer rows change nothing. A cell of n requests
weighs as n * 50 / (n + 50), because groups differ beyond chance: more requests tell little more.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from operator import itemgetter
from typing import NamedTuple

CAP = 50.0  # what a cell weighs at most, and how many requests the rate of its surroundings adds to its own
CELL = 4  # dimensions of a cell
VALUES = 3  # of a combination, at most
LEAST = 0.2  # of the extra failures: what explains less is not named, neither first nor beside another
EVEN = 0.5  # of failures, what only they say is taken to have been said of before, where more was not
CLOSE = 0.8  # of the first score: named together with it
FEW = 30  # extra failures: with fewer nothing can be told
ANY = 0.5  # extra failures of a minute that count as some, where all are few
QUIET = 3  # minutes in a row: on little traffic chance alone makes as many without a failure
CAUSES = 3  # one after the other, at most
ENOUGH = 300  # extra failures: more time would tell no more
MINUTE_S = 60
NEAR_S = 120  # from the alarm to the minute of most extra failures, at most

Values = tuple[str, ...]
Combination = tuple[tuple[int, str], ...]  # place of the dimension and value, by place


class Minute(NamedTuple):
    """What a service counted in a minute; `at` is its start, Unix seconds."""

    at: int
    n: int
    bad: int


class Row(NamedTuple):
    """Requests that share all values; in the order of the dimensions, '' is what was not said.

    `marks` are what only failures say: the dependency, then what describes them, such as an error class; all rows have
    as many. Counts may be fractions: a sampled row stands for more than itself.
    """

    values: Values
    n: float
    bad: float
    marks: Values = ()


class Compared(NamedTuple):
    """What was counted while it fails, and in the time before that it is compared with."""

    now: Sequence[Row]
    before: Sequence[Row]


class Suspect(NamedTuple):
    """A combination and what speaks for it; places after the values' are marks.

    The shares are from 0 to 1, of the weighted counts that it is ranked by.
    """

    combination: Combination
    score: float
    share: float  # of the extra failures
    traffic: float


class Cause(NamedTuple):
    """What explains extra failures that no earlier cause does: best first, and how many there were, not weighted."""

    suspects: list[Suspect]
    extra: float

    @property
    def close(self) -> list[Suspect]:
        """The first, and those that the failures hardly tell from it."""
        return [one for one in self.suspects if one.score >= CLOSE * self.suspects[0].score]


class Weighed(NamedTuple):
    """Rows by values and marks, with the weights that they are ranked by."""

    extra: dict[Values, float]  # failures, by values and marks
    traffic: dict[Values, float]  # by values
    said: dict[Values, float]  # failures of the time before, by marks
    failures: float  # that are extra, not weighted


def score(share: float, traffic: float) -> float:
    """What a failure tells of a group with `share` of the extra failures and `traffic` of the requests, in nats."""
    if share <= traffic or traffic <= 0:
        return 0.0
    rest = (1 - share) * math.log((1 - share) / (1 - traffic)) if share < 1 else 0.0
    return share * math.log(share / traffic) + rest


def failing(minutes: Sequence[Minute], alarm: float) -> tuple[int, int] | None:
    """From when to when it fails, Unix seconds, [from, to): None where nothing fails more than before.

    It begins with the minute of most extra failures within two of the alarm, because one minute off halves what can be
    told, and goes on while minutes are half as bad, until 300 are extra. Where too few are to tell anything, as on
    little traffic, up to three better minutes in a row do not end it. `minutes` are in order, from ten before the alarm
    on.
    """
    before = [one for one in minutes if one.at + MINUTE_S <= alarm - NEAR_S]
    n = sum(one.n for one in before)
    usually = sum(one.bad for one in before) / n if n else 0.0
    extra = {one.at: one.bad - one.n * usually for one in minutes}
    near = [at for at in extra if alarm - NEAR_S - MINUTE_S < at <= alarm + NEAR_S]
    start = max(near, key=extra.__getitem__, default=0)
    if not near or extra[start] <= 0:
        return None
    stop, told, better = start + MINUTE_S, extra[start], 0
    for at in range(stop, max(extra) + 1, MINUTE_S):
        more = extra.get(at, 0.0)
        bad = more >= (extra[start] / 2 if told >= FEW else min(extra[start] / 2, ANY))
        better = 0 if bad else better + 1
        if told >= ENOUGH or better > (QUIET if told < FEW else 0):
            break
        told += more
        stop = at + MINUTE_S if bad else stop
    return start, stop


def causes(compared: Compared, most: int = 5) -> list[Cause]:
    """What explains the extra failures; then, without its requests, what explains the rest, if that is a fifth."""
    found: list[Cause] = []
    whole = 0.0
    while len(found) < CAUSES:
        weighed = weigh(compared)
        whole = whole or weighed.failures
        ranked = search(weighed)[:most]
        if not ranked or weighed.failures < max(FEW, LEAST * whole):
            break
        found.append(Cause(ranked, weighed.failures))
        compared = without(compared, ranked[0].combination)
    return found


def without(compared: Compared, combination: Combination) -> Compared:
    """The rest, where one combination is taken out."""
    return Compared(
        *(
            [row for row, its in zip(rows, matching(rows, combination), strict=True) if not its]
            for rows in (compared.now, compared.before)
        )
    )


def matching(rows: Iterable[Row], combination: Combination) -> list[bool]:
    """Which rows are of the combination."""
    if not combination:
        return [True for _ in rows]
    pick, wanted = itemgetter(*(place for place, _ in combination)), tuple(value for _, value in combination)
    value = wanted[0] if len(wanted) == 1 else wanted  # as itemgetter gives them
    return [pick(row.values + row.marks) == value for row in rows]


def weigh(compared: Compared) -> Weighed:
    """Weigh every row as its cell."""
    now, before = cells(compared.now), cells(compared.before)
    whole = sum(n for n, _ in before.values())
    scale = sum(n for n, _ in now.values()) / whole if whole else 0.0
    extra, traffic, said = (defaultdict[Values, float](float) for _ in range(3))
    failures = 0.0
    for row, more in zip(compared.now, surplus(compared), strict=True):
        weight = CAP / (now[row.values[:CELL]][0] + CAP)
        traffic[row.values] += row.n * weight
        if more:
            failures += more
            extra[row.values + row.marks] += more * weight
    for row in compared.before:
        traffic[row.values] += row.n * scale * CAP / (before[row.values[:CELL]][0] * scale + CAP)
        said[row.marks] += row.bad
    return Weighed(extra, traffic, said, failures)


def surplus(compared: Compared) -> list[float]:
    """How many failures of each row of now are extra: more than its cell had before, as a share of what fails in it."""
    now, rates = cells(compared.now), usual(cells(compared.before))
    found = []
    for row in compared.now:
        n, bad = now[row.values[:CELL]]
        found.append(row.bad * max(0.0, 1 - n * expected(rates, row.values[:CELL]) / bad) if row.bad else 0.0)
    return found


def cells(rows: Iterable[Row]) -> dict[Values, tuple[float, float]]:
    """Requests and failures by cell."""
    counted: dict[Values, tuple[float, float]] = {}
    for row in rows:
        n, bad = counted.get(row.values[:CELL], (0.0, 0.0))
        counted[row.values[:CELL]] = (n + row.n, bad + row.bad)
    return counted


def usual(before: Mapping[Values, tuple[float, float]]) -> dict[Values, float]:
    """The failing share before, of each cell and of all that it is part of.

    What has few requests is drawn to the rate of what it is part of, as if that had brought 50 of its own.
    """
    counted: dict[Values, tuple[float, float]] = {}
    for cell, (n, bad) in before.items():
        for length in range(len(cell) + 1):
            had = counted.get(cell[:length], (0.0, 0.0))
            counted[cell[:length]] = (had[0] + n, had[1] + bad)
    rates: dict[Values, float] = {}
    for part in sorted(counted, key=len):
        n, bad = counted[part]
        rates[part] = (bad + CAP * rates[part[:-1]]) / (n + CAP) if part else bad / n if n else 0.0
    return rates


def expected(rates: Mapping[Values, float], cell: Values) -> float:
    """The rate of a cell, or of the narrowest part of it that was there before: a new version's is its route's."""
    while cell and cell not in rates:
        cell = cell[:-1]
    return rates.get(cell, 0.0)


def search(weighed: Weighed) -> list[Suspect]:
    """Every combination that explains a fifth and more than its traffic would, best first.

    Of equal ones, those of fewer values and earlier dimensions come first. What only failures say has no traffic of
    its own: it is looked at apart.
    """
    width = len(next(iter(weighed.traffic), ()))
    whole, traffic = sum(weighed.extra.values()), sum(weighed.traffic.values())
    by_values, by_marks = defaultdict[Values, float](float), defaultdict[Values, float](float)
    for said, extra in weighed.extra.items():
        by_values[said[:width]] += extra / whole
        by_marks[said[width:]] += extra / whole
    found = [
        (combination, share, min(1.0, held / traffic))
        for combination, share, held in candidates(by_values, weighed.traffic)
    ]
    failures = sum(weighed.said.values()) + CAP
    found += [
        (tuple((width + place, mark) for place, mark in combination), share, max(EVEN, (held + EVEN * CAP) / failures))
        for combination, share, held in candidates(by_marks, weighed.said)
    ]
    suspects = [Suspect(one, score(share, g) * worth(one, width), share, g) for one, share, g in found if share > g]
    return distinct(sorted(suspects, key=lambda one: (-round(one.score, 9), len(one.combination), one.combination)))


def distinct(ranked: Iterable[Suspect]) -> list[Suspect]:
    """Without those that only add a value which all requests of a shorter one have."""
    kept: dict[tuple[float, float], list[Suspect]] = defaultdict(list)
    found = []
    for one in ranked:
        alike = kept[round(one.share, 9), round(one.traffic, 9)]
        if not any(set(shorter.combination) < set(one.combination) for shorter in alike):
            alike.append(one)
            found.append(one)
    return found


def worth(combination: Combination, width: int) -> float:
    """What a combination's score counts: less where it only describes the failures and names nothing to act on."""
    return 1.0 if any(place <= width for place, _ in combination) else CLOSE


def candidates(
    shares: Mapping[Values, float], others: Mapping[Values, float]
) -> list[tuple[Combination, float, float]]:
    """Each combination with at least a fifth of `shares`, its share, and what it has of `others`.

    A combination has no more than each of its values: values with less are struck out first, which makes rows alike.
    """
    singles = held(shares, 1)
    kept = {combination[0] for combination, share in singles.items() if share >= LEAST}
    rows, beside = struck(shares, kept), struck(others, kept)
    found: list[tuple[Combination, float, float]] = []
    for size in range(1, VALUES + 1):
        enough = {each: min(1.0, share) for each, share in held(rows, size).items() if share >= LEAST}
        more = held(beside, size) if enough else {}
        found += [(each, share, more.get(each, 0.0)) for each, share in enough.items()]
    return found


def struck(rows: Mapping[Values, float], kept: set[tuple[int, str]]) -> dict[Values, float]:
    """Rows with '' for each value that is not kept."""
    made: dict[Values, float] = defaultdict(float)
    for values, weight in rows.items():
        made[tuple(value if (place, value) in kept else "" for place, value in enumerate(values))] += weight
    return made


def held(rows: Mapping[Values, float], size: int) -> dict[Combination, float]:
    """What each combination of `size` values holds; what was not said is no value."""
    counted: dict[Combination, float] = defaultdict(float)
    for values, weight in rows.items():
        for combination in combinations([(place, value) for place, value in enumerate(values) if value], size):
            counted[combination] += weight
    return counted
