"""Exemplars: for each bucket of the request durations the newest request that fell into it, over all processes.

prometheus_client keeps none where several processes count. Here each process has a file of records beside its
metrics; a scrape reads them all. A record is written over while it may be read: its checksum tells.
"""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import Struct as Layout

import msgspec
from prometheus_client.samples import Exemplar

from server.kernel import shared_clock
from server.kernel.names import process_name
from server.telemetry.reserved import take

NAME = "request_id"
CHARACTERS = (
    128  # of all names and values together, as OpenMetrics says: a longer id has none, half of one finds nothing
)
RECORD = 512  # bytes
RECORDS = 2048  # buckets of one process that may have one
EVERY_S = 1.0  # a bucket's is written anew at most so often: a scrape reads seconds apart

HEAD = Layout("<IH")  # checksum and length of what follows

Place = tuple[str, str, str]  # the handler, the status, and the upper bound of the bucket as it is shown


class ExemplarRecord(msgspec.Struct, array_like=True):
    """One record."""

    place: Place
    request_id: str
    value: float  # seconds
    at: float  # Unix seconds


class Exemplars:
    """Those of this process, and those of all."""

    def __init__(self) -> None:
        self._process = ""
        self._memory: mmap.mmap | None = None
        self._places: dict[Place, int] = {}
        self._written: dict[Place, float] = {}  # when, Unix seconds

    def keep(self, place: Place, request_id: str, value: float) -> None:
        """This request fell into the bucket. Nothing where its id is too long, or there is no more room."""
        at = shared_clock.now()
        if at - self._written.get(place, 0.0) < EVERY_S or len(NAME) + len(request_id) > CHARACTERS:
            return
        if self._process != process_name():
            self._begin()
        number = self._places.setdefault(place, len(self._places))
        body = msgspec.json.encode(ExemplarRecord(place, request_id, value, at))
        if self._memory is None or number >= RECORDS or len(body) > RECORD - HEAD.size:
            return
        begin = number * RECORD
        self._memory[begin : begin + HEAD.size + len(body)] = HEAD.pack(zlib.crc32(body), len(body)) + body
        self._written[place] = at

    def _begin(self) -> None:
        """A file of our own, by the name of the process, as its metrics have; without a directory, memory."""
        self._process, self._places, self._written, self._memory = process_name(), {}, {}, None
        directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        if not directory:
            self._memory = mmap.mmap(-1, RECORDS * RECORD)
            return
        path = Path(directory) / f"exemplars_{self._process}"
        with path.open("w+b") as file:
            if take(file.fileno(), 0, RECORDS * RECORD):
                self._memory = mmap.mmap(file.fileno(), RECORDS * RECORD)

    def newest(self) -> dict[Place, Exemplar]:
        """By bucket, of all processes of this machine."""
        found: dict[Place, ExemplarRecord] = {}
        for one in self._every():
            if one.place not in found or one.at > found[one.place].at:
                found[one.place] = one
        return {place: Exemplar({NAME: one.request_id}, one.value, round(one.at, 3)) for place, one in found.items()}

    def _every(self) -> Iterator[ExemplarRecord]:
        directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        if directory:
            for path in Path(directory).glob("exemplars_*"):
                yield from records(path.read_bytes())
        elif self._memory is not None:
            yield from records(self._memory[:])


def records(data: bytes) -> Iterator[ExemplarRecord]:
    """What can be read; a record that is being written, or never was, is left out."""
    for begin in range(0, len(data) - HEAD.size, RECORD):
        checksum, length = HEAD.unpack_from(data, begin)
        body = data[begin + HEAD.size : begin + HEAD.size + length]
        if length and zlib.crc32(body) == checksum:
            yield msgspec.json.decode(body, type=ExemplarRecord)
