"""SQL of how large the tables are."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# A partitioned table is as large as its partitions, those that are being detached too: they have its name.
SIZES = """
SELECT coalesce(parent.relname, one.relname) AS name,
    sum(pg_total_relation_size(one.oid))::bigint AS bytes,
    sum(greatest(one.reltuples, 0))::bigint AS rows_about,
    count(*)::int AS parts
FROM pg_class AS one
LEFT JOIN pg_inherits ON inhrelid = one.oid
LEFT JOIN pg_class AS parent ON parent.oid = inhparent
WHERE one.relkind = 'r' AND one.relnamespace = current_schema()::regnamespace
GROUP BY 1 ORDER BY 2 DESC, 1
"""


@dataclass(frozen=True, slots=True)
class TableSize:
    """One table with its indexes. `rows_about` is the planner's estimate, `parts` how many partitions hold them."""

    name: str
    bytes: int
    rows_about: int
    parts: int


async def table_sizes(connection: AsyncConnection) -> list[TableSize]:
    """Every table, the largest first."""
    return [TableSize(*row) for row in await connection.execute(text(SIZES))]
