"""SQL text that adds packed pairs (server/live/pairs.py) over many rows, for the stores here."""

from __future__ import annotations


def merged(source: str, column: str, by: str) -> str:
    """A query of `by` and `column`: the packed pairs of `source`, added by key within each group."""
    return f"""
        SELECT {by}, array_agg((key << 32) | total ORDER BY key) AS {column}
        FROM (
            SELECT {by}, pair >> 32 AS key, sum(pair & 4294967295)::bigint AS total
            FROM {source}, unnest({column}) AS pair
            GROUP BY {by}, pair >> 32
        ) AS added
        GROUP BY {by}
    """
