"""Every table, and the codec by which stores read and write its rows.

A new field is a column here, its migration and a field of the row's struct: codec.py
derives the statements from both, binary.py what a COPY of outcomes and deltas holds.
What is kept of an outcome beside its columns stands in detail.py.

Times are timestamptz. Durations are whole microseconds. `bigint[]` columns named
`sketch`, `fast`, `slow`, `sizes` hold packed pairs, `key << 32 | count`, sorted by key
(see server/live/pairs.py): a sketch maps bucket to count, `fast` maps a latency
threshold in microseconds to the count of good outcomes at or under it. A delta
has a pair for every threshold that its writer measured, also where the count is 0.

Nothing refers to `outcomes` and `service_lines`, and they have no unique constraint, so that
Citus can distribute them by request_id.
"""

from __future__ import annotations

from server.tables import (
    alerts,
    config,
    deploys,
    flags,
    hooks,
    incidents,
    lines,
    maintenance,
    meters,
    outcomes,
    people,
    processes,
    records,
    routes,
    signals,
    slo,
)
from server.tables.columns import metadata

__all__ = [
    "alerts",
    "config",
    "deploys",
    "flags",
    "flush_marks",
    "hooks",
    "incidents",
    "lines",
    "maintenance",
    "metadata",
    "meters",
    "outcomes",
    "people",
    "processes",
    "records",
    "routes",
    "signals",
    "slo",
]
