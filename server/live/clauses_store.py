"""SQL text that several stores use: the deltas of some flushes, packed pairs (server/live/pairs.py) added up or
looked into, and what exclusions take out of the budgets, the one definition for deltas and for rollups."""

from __future__ import annotations

# The flushes (after, upto] of each writer. OFFSET 0 and two-sided ranges keep the planner on the primary key,
# so that the cost depends on what is new and not on the quarter of an hour that is kept.
FLUSHES = """
    unnest(CAST(:ids AS bigint[]), CAST(:after AS bigint[]), CAST(:upto AS bigint[])) AS r (id, after, upto)
    CROSS JOIN LATERAL (
        SELECT * FROM deltas WHERE writer_id = r.id AND seq > r.after AND seq <= r.upto OFFSET 0
    ) AS d
"""
UNFOLDED = """
    writers w
    CROSS JOIN LATERAL (
        SELECT * FROM deltas
        WHERE writer_id = w.id AND seq > w.folded_seq AND seq <= w.folded_seq + 1000000000 OFFSET 0
    ) AS t
"""


# Whether a delta `d` came too late to say anything of now, or by a command that imports: it counts, and tells nobody.
LATE = """
    (d.second < d.written_at - interval '15 minutes' OR d.writer_id IN (SELECT id FROM writers WHERE process_id = 0))
"""


def within(row: str, threshold: str) -> str:
    """How many good requests of `row` took no longer than `threshold`; null where that was not measured."""
    return f"(SELECT pair & 4294967295 FROM unnest({row}.fast) AS pair WHERE pair >> 32 = {threshold})"


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


def excluded(series: str, at: str) -> str:
    """Whether an exclusion that is not revoked covers a row of `series` at the time `at`.

    Exclusions are whole minutes, so the time may be a second or the minute that it is in.
    """
    return f"""
        EXISTS (
            SELECT FROM exclusions x
            WHERE x.service = {series}.service AND x.revoked_at IS NULL AND x.start <= {at} AND x.stop > {at}
                AND x.route IN ('', {series}.route) AND x.version IN ('', {series}.version)
                AND x.method IN ('', {series}.method)
        )
    """
