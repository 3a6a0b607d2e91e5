"""compiled.c. None, each time: what was given is for the Python code."""

from collections.abc import Mapping, Sequence

from server.ingest.counted import Counted, Find, Thresholds
from server.ingest.outcome import Outcome
from server.ingest.series import Series, Spelling
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
