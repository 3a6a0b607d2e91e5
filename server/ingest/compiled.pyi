"""compiled.c. None, each time: what was given is for the Python code; `take_spans` stops before a span that is."""

from collections.abc import Mapping, Sequence

from server.ingest.counted import Counted, Find, Thresholds
from server.ingest.outcome import Outcome
from server.ingest.series import Series, Spelling
from server.receivers.otlp.told import KnownRequest
from server.tables.binary import Column

VERSION: int

def census(outcomes: list[Outcome], now: int, /) -> tuple[list[int], int, int, dict[str, int]] | None: ...
def count(
    outcomes: Sequence[Outcome],
    times: Sequence[int],
    known: Mapping[Spelling, Series],
    find: Find,
    random: bytes | None,
    timed: bool,
    columns: tuple[Column, ...],
    /,
) -> Counted | None: ...
def delta_rows(
    writer_id: int,
    seq: int,
    batches: Sequence[Counted],
    thresholds: Thresholds,
    columns: tuple[Column, ...],
    /,
) -> bytes | None: ...
def take_spans(
    spans: list[bytes],
    begin: int,
    looked_at: tuple[tuple[bytes, ...], tuple[bytes, ...], int],
    known: tuple[bytes, dict[bytes, KnownRequest]],
    sender: tuple[str, str | None, str | None],
    into: tuple[list[Outcome], bytearray, dict[bytes, Outcome], list[tuple[bytes, bytes, bool]]],
    /,
) -> int: ...
