"""Flushes as ingest stores them, for tests of what reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import psycopg

from server.kernel.db import Database
from server.live.pairs import pack
from server.live.sketch import bucket


def unheard(deltas: Sequence[object], *, anew: bool = False) -> None:
    """For a tick whose deltas nobody else looks at."""


class Sample(NamedTuple):
    """One outcome: Unix seconds and microseconds."""

    second: int
    duration_us: int = 10_000
    bad: bool = False
    service: str = "shop"
    route: str = "/pay"
    version: str = "v1"
    method: str = "GET"
    status: int = 200


@asynccontextmanager
async def database(url: str) -> AsyncIterator[Database]:
    """A Database of the test's own loop."""
    db = Database(url, "test")
    try:
        yield db
    finally:
        await db.close()


class Writer:
    """One writer, as in server/ingest: registered first, one flush at a time, its own sequence."""

    def __init__(
        self,
        url: str,
        *,
        threshold_us: int | None = 300_000,
        register: bool = True,
        process: int = 1,
        raw: bool = False,
    ) -> None:
        """`threshold_us` None: an import without request times; `raw`: outcomes are stored too, in partitions made
        before."""
        self.connection = psycopg.connect(url, autocommit=True, options="-c timezone=UTC")
        self.threshold_us = threshold_us
        self.raw = raw
        self.seq = 0
        self.id = int(self.one("SELECT nextval('writer_ids')"))
        if register:
            self.connection.execute("INSERT INTO writers (id, process_id) VALUES (%s, %s)", (self.id, process))
        self.series: dict[tuple[object, ...], int] = {}

    def one(self, query: str, values: Sequence[object] = ()) -> int:
        row = self.connection.execute(query.encode(), values).fetchone()
        assert row is not None
        return int(row[0])

    def series_id(self, sample: Sample) -> int:
        key = (sample.service, sample.version, sample.route, sample.method, sample.status)
        if key not in self.series:
            self.series[key] = self.one(
                """
                INSERT INTO series (service, version, route, method, status) VALUES (%s, %s, %s, %s, %s)
                ON CONFLICT ON CONSTRAINT series_key DO UPDATE SET status = excluded.status RETURNING id
                """,
                key,
            )
        return self.series[key]

    def flush(self, samples: Iterable[Sample], *, late_s: float = 0) -> None:
        """One committed flush, as if each of its seconds had been written `late_s` seconds later."""
        self.seq += 1
        samples = list(samples)
        groups: dict[tuple[int, int], list[Sample]] = {}
        for sample in samples:
            groups.setdefault((self.series_id(sample), sample.second), []).append(sample)
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.executemany(
                """
                INSERT INTO deltas (writer_id, seq, series_id, second, n, bad, duration_us, fast, sketch, written_at)
                VALUES (%s, %s, %s, to_timestamp(%s), %s, %s, %s, %s, %s, to_timestamp(%s))
                """,
                [(self.id, self.seq, *key, *self.counted(group), key[1] + late_s) for key, group in groups.items()],
            )
            if self.raw:
                cursor.executemany(
                    """
                    INSERT INTO outcomes (at, series_id, duration_us, bad, request_id)
                    VALUES (to_timestamp(%s), %s, %s, %s, 'test')
                    """,
                    [
                        (s.second + 0.5, self.series_id(s), s.duration_us if self.threshold_us else None, s.bad)
                        for s in samples
                    ],
                )

    def counted(self, group: Sequence[Sample]) -> tuple[int, int, int, list[int], list[int]]:
        if self.threshold_us is None:
            return len(group), sum(sample.bad for sample in group), 0, [], []
        threshold_us = self.threshold_us
        sketch: dict[int, int] = {}
        for sample in group:
            sketch[bucket(sample.duration_us)] = sketch.get(bucket(sample.duration_us), 0) + 1
        fast = sum(not sample.bad and sample.duration_us <= threshold_us for sample in group)
        return (
            len(group),
            sum(sample.bad for sample in group),
            sum(sample.duration_us for sample in group),
            pack({threshold_us: fast}),
            pack(sketch),
        )

    def close(self) -> None:
        self.connection.close()
