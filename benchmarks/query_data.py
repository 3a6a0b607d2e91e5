"""Outcomes of a week and what is counted from them, as ingest and the fold leave them, made quickly.

Rows go straight into the tables by COPY. Times lean towards now, series towards a
few, durations are log-normal with a slow tail, one in a hundred is bad.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import psycopg

from server.kernel.ids import uuid7_from
from server.live.pairs import pack
from server.live.sketch import bucket

SERVICES = ("evenkeel", "checkout", "search", "catalogue")
ROUTES = 25
VERSIONS = ("", "4e81b07")
DAYS = 7
HOUR_S = 3600
MINUTE_S = 60
THRESHOLD_US = 300_000
DELTAS_S = 900
UNFOLDED_S = 30


@dataclass(slots=True)
class Cell:
    """The counts of one series in one second, minute or hour."""

    n: int = 0
    bad: int = 0
    duration_us: int = 0
    fast: int = 0
    sketch: dict[int, int] = field(default_factory=dict)

    def add(self, duration_us: int, key: int, bad: bool) -> None:
        self.n += 1
        self.bad += bad
        self.duration_us += duration_us
        self.fast += not bad and duration_us <= THRESHOLD_US
        self.sketch[key] = self.sketch.get(key, 0) + 1

    def counts(self) -> str:
        """n, bad, duration_us and fast, as COPY takes them."""
        return f"{self.n}\t{self.bad}\t{self.duration_us}\t{array({THRESHOLD_US: self.fast})}"


Cells = dict[tuple[int, int], Cell]  # by series and start, in Unix seconds


@dataclass(slots=True)
class Hour:
    """What one hour adds to each table."""

    rows: list[str] = field(default_factory=list)
    minutes: Cells = field(default_factory=dict)
    hours: Cells = field(default_factory=dict)
    seconds: Cells = field(default_factory=dict)


def fill(url: str, outcomes: int, progress: Callable[[int], None]) -> list[str]:
    """Fill a migrated database whose partitions exist; some request ids to look up."""
    now = int(time.time())
    with psycopg.connect(url, autocommit=True) as connection:
        maker = Maker(make_series(connection), now)
        connection.execute("INSERT INTO writers (id, process_id, folded_seq) VALUES (1, 1, 1)")
        ids: list[str] = []
        for start, count in plan(now, outcomes):
            hour = maker.hour(start, count)
            copy_hour(connection, hour, now)
            ids.append(hour.rows[0].split("\t")[4] if hour.rows else "none")
            progress(count)
        make_ledger(connection)
        connection.execute("VACUUM ANALYZE")
    return ids[-50:]


def make_series(connection: psycopg.Connection[tuple[object, ...]]) -> list[tuple[int, bool]]:
    """Number the series: the id, and whether its outcomes are bad."""
    connection.execute(
        """
        INSERT INTO series (service, version, route, method, status)
        SELECT s, v, '/' || s || '/r' || r || '/{id}', CASE WHEN r %% 3 = 0 THEN 'POST' ELSE 'GET' END, status
        FROM unnest(%s::text[]) s, unnest(%s::text[]) v, generate_series(1, %s) r, unnest(ARRAY[200, 500]) status
        """,
        (list(SERVICES), list(VERSIONS), ROUTES),
    )
    found = connection.execute("SELECT id, status >= 500 FROM series ORDER BY status, id").fetchall()
    return [(int(str(row[0])), bool(row[1])) for row in found]


def plan(now: int, outcomes: int) -> Iterator[tuple[int, int]]:
    """Each hour of DAYS and how many outcomes it has: the newest day has half of all."""
    first = now // HOUR_S * HOUR_S - (DAYS * 24 - 1) * HOUR_S
    weights = [2.0 ** ((index - DAYS * 24) / 24) for index in range(DAYS * 24)]
    total = sum(weights)
    for index, weight in enumerate(weights):
        yield first + index * HOUR_S, max(1, round(outcomes * weight / total))


class Maker:
    """Makes the outcomes of one hour after the other; always the same for the same `now`."""

    def __init__(self, series: list[tuple[int, bool]], now: int) -> None:
        self.good = [number for number, bad in series if not bad]
        self.bad = [number for number, bad in series if bad]
        self.weights = [1 / rank for rank in range(1, len(self.good) + 1)]
        self.now = now
        self.chance = random.Random(42)

    def hour(self, start: int, count: int) -> Hour:
        """`count` outcomes of the hour that begins at `start`."""
        made, end = Hour(), min(start + HOUR_S, self.now)
        for place in self.chance.choices(range(len(self.good)), self.weights, k=count):
            self.add(made, self.chance.uniform(start, end), place)
        return made

    def add(self, hour: Hour, at: float, place: int) -> None:
        bad = self.chance.random() < 0.01
        series = (self.bad if bad else self.good)[place]
        duration_us = int(math.exp(self.chance.gauss(9.9, 0.8)))  # median 20 ms
        second, key = int(at), bucket(duration_us)
        request_id = uuid7_from(int(at * 1000), self.chance.randbytes(10))
        hour.rows.append(f"{stamp(second)}\t{series}\t{duration_us}\t{'t' if bad else 'f'}\t{request_id}\t\\N\n")
        if second < self.now - UNFOLDED_S:
            for cells, unit in ((hour.minutes, MINUTE_S), (hour.hours, HOUR_S)):
                cells.setdefault((series, second // unit * unit), Cell()).add(duration_us, key, bad)
        if second >= self.now - DELTAS_S:
            hour.seconds.setdefault((series, second), Cell()).add(duration_us, key, bad)


def copy_hour(connection: psycopg.Connection[tuple[object, ...]], hour: Hour, now: int) -> None:
    copy(connection, "outcomes (at, series_id, duration_us, bad, request_id, detail)", hour.rows)
    for table, unit, cells in (("minutes", "minute", hour.minutes), ("hours", "hour", hour.hours)):
        columns = f"{table} (series_id, {unit}, n, bad, duration_us, fast"
        with_sketch = table == "hours"
        rows = [
            f"{series}\t{stamp(start)}\t{cell.counts()}{chr(9) + array(cell.sketch) if with_sketch else ''}\n"
            for (series, start), cell in cells.items()
        ]
        copy(connection, columns + (", sketch)" if with_sketch else ")"), rows)
    sketches = [f"{series}\t{stamp(start)}\t{array(cell.sketch)}\n" for (series, start), cell in hour.minutes.items()]
    copy(connection, "minute_sketches (series_id, minute, sketch)", sketches)
    deltas = [
        f"1\t{1 if at < now - UNFOLDED_S else 2}\t{series}\t{stamp(at)}\t{cell.counts()}\t{array(cell.sketch)}\n"
        for (series, at), cell in hour.seconds.items()
    ]
    copy(connection, "deltas (writer_id, seq, series_id, second, n, bad, duration_us, fast, sketch)", deltas)


def copy(connection: psycopg.Connection[tuple[object, ...]], target: str, rows: list[str]) -> None:
    if rows:
        with connection.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN") as stream:
            stream.write("".join(rows))


def make_ledger(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Every minute of 35 days and every hour of 400, for each objective."""
    for table, unit, days in (("ledger_minutes", "minute", 35), ("ledger_hours", "hour", 400)):
        connection.execute(
            f"""
            INSERT INTO {table} (objective_id, {unit}, good, bad, excluded)
            SELECT id, at, 1000, 1, 0 FROM objectives, generate_series(
                date_trunc('{unit}', now()) - interval '{days} days', now(), interval '1 {unit}') AS at
            """
        )


def array(counts: dict[int, int]) -> str:
    return "{" + ",".join(map(str, pack(counts))) + "}"


def stamp(second: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime(second))
