"""From the first failure to the API: how soon a burn is shown, against the Workbook's first tier.

Twenty services a row, each with a 99.9 % objective, begin to fail at random moments, through the
running service in real time. The row that would take hours (1 % at 5/s) runs through the
same evaluator at accelerated time (tests/slo/judging.py) and says so.
"""

from __future__ import annotations

import asyncio
import random
import tempfile

import psycopg

from benchmarks.failing import WARM_S, Failing, watch
from benchmarks.figure import Figure
from benchmarks.stand import percentile, stand
from server.kernel.settings import read_environment
from server.process import embedded
from server.slo.judge.detection import first_tier
from tests.running import Running
from tests.slo.judging import alarms, objective
from tests.slo.making import availability, service
from tests.slo.traffic import poisson

EACH = 20
# per second, failing ratio, how long to wait for the slowest (seconds), the limit for the median
REAL = (
    (5, 1.0, 60, None),
    (5, 0.1, 600, None),
    (50, 1.0, 30, 3.0),
    (50, 0.1, 90, 15.0),
    (50, 0.01, 420, 180.0),
    (500, 1.0, 30, None),
    (500, 0.1, 60, None),
    (500, 0.01, 120, None),
)
HEALTHY, BEFORE_S = 0.0002, 7 * 3600
BURNING = ("fast", "1h/5m", "6h/30m")
ACCELERATED = ((5, 0.01, 24 * 3600),)


def run() -> list[Figure]:
    """Seconds: the median and the worst of 20, and the median as a share of the Workbook's."""
    names = [f"s{rate}-{int(ratio * 100)}-{i}" for rate, ratio, *_ in REAL for i in range(EACH)]
    policy = "".join(service(name) + availability(f"{name}-works", name) for name in names)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(policy)
        file.flush()
        with stand(SLO_FILE=file.name, SERVICES_MAX="400") as server:
            remember(server)
            figures = [each for row in REAL for each in real(server, *row)]
    return figures + [each for row in ACCELERATED for each in accelerated(*row)]


def remember(server: Running) -> None:
    """Four healthy weeks in the ledgers, straight into the tables: a new service would burn at its first failures."""
    place = embedded.cluster(read_environment({"DATA_DIR": server.variables["DATA_DIR"]}))
    with psycopg.connect(place.url) as connection:
        for table, column, unit, back in (
            ("ledger_hours", "hour", 3600, "28 days"),
            ("ledger_minutes", "minute", 60, "7 hours"),
        ):
            connection.execute(
                f"""
                INSERT INTO {table} (objective_id, {column}, good, bad, excluded)
                SELECT id, at, rate * {unit} - rate * {unit} / 5000, rate * {unit} / 5000, 0
                FROM objectives, regexp_replace(name, '^s([0-9]+)-.*', '\\1') AS digits,
                    CAST(digits AS bigint) AS rate,
                    generate_series(date_trunc('{column}', now() - interval '{back}'),
                        date_trunc('{column}', now()) - interval '1 {column}', interval '1 {column}') AS at
                WHERE name LIKE 's%-works'
                ON CONFLICT DO NOTHING
                """.encode()
            )


def real(server: Running, rate: int, ratio: float, wait_s: float, limit_s: float | None) -> list[Figure]:
    """Twenty services at once, in real time."""
    keys = tuple(server.command("key", "create", f"bench-{scope}", "--scope", scope) for scope in ("ingest", "read"))
    services = [
        Failing(f"s{rate}-{int(ratio * 100)}-{i}", rate, ratio, WARM_S + 2 * random.random()) for i in range(EACH)
    ]
    asyncio.run(watch(server.url, (keys[0], keys[1]), services, wait_s))
    missed = [each.name for each in services if each.took_s is None]
    took = [wait_s if each.took_s is None else each.took_s for each in services]
    note = f"{len(missed)} not shown within {wait_s} s" if missed else ""
    return figures_of(rate, ratio, took, limit_s, note)


def accelerated(rate: int, ratio: float, most_s: int) -> list[Figure]:
    """The same evaluator, fed with simulated seconds, after seven healthy hours; until it is shown as burning."""
    took = []
    for seed in range(EACH):
        chance = random.Random(seed)
        ratios = (HEALTHY if at < BEFORE_S else ratio for at in range(BEFORE_S + most_s))
        seconds = ((n, poisson(chance, n * each)) for each in ratios for n in (poisson(chance, rate),))
        burns = (at + 1.0 - BEFORE_S for at, tier, _ in alarms(objective(), seconds) if tier in BURNING)
        took.append(next(burns, float(most_s)))
    return figures_of(rate, ratio, took, None, "accelerated: simulated seconds")


def figures_of(rate: int, ratio: float, took: list[float], limit_s: float | None, note: str) -> list[Figure]:
    held = objective()
    tier, workbook_s = first_tier(held.tiers, float(held.allowed), ratio)
    name = f"{ratio:.0%} of {rate}/s fails"
    median = percentile(took, 0.5)
    figures = [
        Figure(f"{name}: shown after, median of {len(took)}", median, "s", limit_s, note=note),
        Figure(f"{name}: shown after, worst", max(took), "s"),
    ]
    if tier is not None and workbook_s:
        figures.append(
            Figure(f"{name}: median / Workbook's {tier.name}", median / workbook_s, "", note=f"{workbook_s:.0f} s")
        )
    return figures
