"""How often the first suspects are the true cause: of labelled incidents with `--data DIR`, and of simulated faults.

DIR holds `labels.yaml` (`data`, `timestamp`, `cause`: one set of values or several) and for each a table
`DATA.csv.gz`, of columns `min`, `value` (bad), `cnt` (all) and one for each dimension.
"""

from __future__ import annotations

import csv
import gzip
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from benchmarks.figure import Figure
from server.incidents.suspects import FEW, Combination, Compared, Minute, Row, Suspect, failing, search, weigh
from tests.incidents.faults import KINDS, fault, right

TOP = (1, 3, 5)
AIM = {1: 90.0, 3: 96.0, 5: 97.0}  # percent, of the labelled incidents
BEFORE_S = 600
EACH = 40  # simulated faults of a kind
EXTRA = (10, 30, 100, 300, 1000)


class Incident(NamedTuple):
    """A labelled one: rows by minute, when its alarm was, and what is a right answer."""

    rows: dict[int, list[Row]]
    alarm: int
    causes: list[Combination]


class Tried(NamedTuple):
    """The place of the right answer, from 0; None where it is not named. How many failures were extra, and the time."""

    place: int | None
    extra: float
    took_s: float


def run(folder: str | None = None) -> list[Figure]:
    """Percent of right answers and milliseconds a case: of the labelled incidents of a folder, else of simulations."""
    if folder is not None:
        return of("labelled", [try_labelled(one) for one in read(Path(folder))], AIM)
    tried = {kind: [try_fault(kind, seed) for seed in range(EACH)] for kind in KINDS}
    figures = [each for kind in KINDS for each in of(kind, [one for one in tried[kind] if one.extra >= FEW], {})]
    return figures + by_extra([one for each in tried.values() for one in each])


def read(folder: Path) -> list[Incident]:
    """The labelled incidents of a folder."""
    return [incident(folder, label) for label in yaml.safe_load((folder / "labels.yaml").read_text())]


def incident(folder: Path, label: dict[str, Any]) -> Incident:
    rows: dict[int, list[Row]] = defaultdict(list)
    with gzip.open(folder / f"{label['data']}.csv.gz", "rt") as file:
        reader = csv.DictReader(file)
        names = [name for name in reader.fieldnames or () if name not in ("min", "value", "cnt")]
        for line in reader:
            values = tuple(line[name] for name in names)
            rows[int(line["min"])].append(Row(values, float(line["cnt"]), float(line["value"])))
    causes = label["cause"] if isinstance(label["cause"], list) else [label["cause"]]
    return Incident(rows, int(label["timestamp"]), [combination(names, cause) for cause in causes])


def combination(names: list[str], cause: dict[str, Any]) -> Combination:
    return tuple(sorted((names.index(name), str(value)) for name, value in cause.items()))


def try_labelled(one: Incident) -> Tried:
    """As the product does it: the minute of most extra failures near the alarm, against ten minutes before it."""
    started = time.perf_counter()
    minutes = [
        Minute(at, round(sum(row.n for row in rows)), round(sum(row.bad for row in rows)))
        for at, rows in sorted(one.rows.items())
    ]
    start, stop = failing(minutes, one.alarm) or (one.alarm, one.alarm + 60)
    now = [row for at, rows in one.rows.items() if start <= at < stop for row in rows]
    before = [row for at, rows in one.rows.items() if start - BEFORE_S <= at < start for row in rows]
    found, extra = ranked(Compared(now, before))
    took = time.perf_counter() - started
    return Tried(place(each.combination in one.causes for each in found), extra, took)


def try_fault(kind: str, seed: int) -> Tried:
    made = fault(kind, seed)
    started = time.perf_counter()
    found, extra = ranked(made.compared)
    took = time.perf_counter() - started
    return Tried(place(right(made, each.combination) for each in found), extra, took)


def ranked(compared: Compared) -> tuple[list[Suspect], float]:
    weighed = weigh(compared)
    return search(weighed), weighed.failures


def place(rights: Iterable[bool]) -> int | None:
    return next((at for at, each in enumerate(rights) if each), None)


def of(name: str, tried: list[Tried], aim: dict[int, float]) -> list[Figure]:
    """Percent within the first, the first three and five, and the mean time."""
    figures = [
        Figure(f"{name}: top-{top}", percent(tried, top), "%", aim.get(top), "at least", f"of {len(tried)}")
        for top in TOP
    ]
    return [*figures, Figure(f"{name}: a case", 1000 * sum(one.took_s for one in tried) / len(tried), "ms")]


def by_extra(tried: list[Tried]) -> list[Figure]:
    """How sure the first one is, by how many failures were extra."""
    grouped: dict[int, list[Tried]] = defaultdict(list)
    for one in tried:
        grouped[sum(one.extra >= limit for limit in EXTRA)].append(one)
    names = ["under 10", *(f"from {limit}" for limit in EXTRA)]
    return [
        Figure(f"all, {names[group]} extra failures: top-1", percent(each, 1), "%", note=f"of {len(each)}")
        for group, each in sorted(grouped.items())
    ]


def percent(tried: list[Tried], top: int) -> float:
    return 100 * sum(one.place is not None and one.place < top for one in tried) / len(tried)
