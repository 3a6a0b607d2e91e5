"""A ledger with an outage in it, and a policy to look back with."""

from __future__ import annotations

import time

import psycopg

from server.slo.policy.policy import parse
from tests.slo.making import availability, latency, service

KEPT = service("shop") + availability("works", "shop", days=1)


# The same indicator by another name, and one that nobody has counted.
ASKED = service("shop") + availability("renamed", "shop", days=1) + latency("fast", "shop")


MINUTES = """
INSERT INTO ledger_minutes (objective_id, minute, good, bad, excluded)
SELECT %(id)s, minute, CASE WHEN hot THEN 0 ELSE 3000 END, CASE WHEN hot THEN 3000 ELSE 0 END, 0
FROM (
    SELECT minute, minute >= to_timestamp(%(bad)s) AND minute < to_timestamp(%(bad)s) + interval '10 minutes'
        OR minute >= to_timestamp(%(test)s) AND minute < to_timestamp(%(test)s) + interval '10 minutes' AS hot
    FROM generate_series(to_timestamp(%(now)s) - interval '3 days', to_timestamp(%(now)s), interval '1 minute') minute
) AS made
"""


HOURS = """
INSERT INTO ledger_hours (objective_id, hour, good, bad, excluded)
SELECT objective_id, date_trunc('hour', minute), sum(good), sum(bad), 0 FROM ledger_minutes
WHERE objective_id = %(id)s GROUP BY 1, 2
"""


LEFT_OUT = """
INSERT INTO ledger_left_out (objective_id, minute, good, bad)
SELECT objective_id, minute, good, bad FROM ledger_minutes
WHERE objective_id = %(id)s
    AND minute >= to_timestamp(%(test)s) AND minute < to_timestamp(%(test)s) + interval '10 minutes'
"""


def fill(url: str) -> None:
    """Three days of an outage two days ago, and of a load test one day ago that is excluded."""
    (one,) = parse(KEPT).objectives
    now = int(time.time()) // 60 * 60
    values = {"now": now, "bad": now - 2 * 86_400, "test": now - 86_400}
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "INSERT INTO objectives (name, indicator) VALUES ('works', %s) RETURNING id", (one.indicator,)
        ).fetchone()
        assert row is not None
        for statement in (MINUTES, HOURS, LEFT_OUT):
            connection.execute(statement, values | {"id": row[0]})
