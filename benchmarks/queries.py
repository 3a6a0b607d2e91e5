"""How long the questions of the pages and the API take, on data of a week, through the service's own code."""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from benchmarks.query_data import fill
from benchmarks.query_database import own_database
from checks.store import database_bytes
from server.changes import store as change_store
from server.incidents.suspect_answer import SuspectsQuestion, answered, material, near_changes
from server.ingest.partitions import ensure_partitions
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.errors import ConfigurationError
from server.kernel.settings import Environment, read_environment
from server.live import outcomes, questions
from server.live.answers import Metric
from server.live.outcome_store import Filter
from server.process.command_database import database_for_command
from server.process.migrate import migrate
from server.selfcheck import store as check_store
from server.slo.api import answers
from server.slo.policy.policies import Policies
from server.telemetry import log_store

Question = Callable[[AsyncConnection], Awaitable[object]]

DAY_S = 86_400.0
WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one question took, in milliseconds."""

    name: str
    runs: int
    mean: float
    p50: float
    p95: float
    slowest: float


@click.command()
@click.option("--outcomes", "count", default=1_000_000, show_default=True, help="How many outcomes to make.")
@click.option("--rounds", default=30, show_default=True, help="How often each question is asked.")
@click.option("--yes-write-here", is_flag=True, help="Make the benchmark's database on the server of DATABASE_URL.")
def main(count: int, rounds: int, yes_write_here: bool) -> None:
    """Time the questions of the pages and the API on data made for it.

    The data is in a database of its own beside the embedded one, removed
    afterwards. Exit 1 where the mean of a question is above
    BENCH_FAIL_THRESHOLD_MS, or its 95th percentile above
    BENCH_FAIL_P95_THRESHOLD_MS.
    """
    env = read_environment(for_database_only=True)
    limits = threshold("BENCH_FAIL_THRESHOLD_MS"), threshold("BENCH_FAIL_P95_THRESHOLD_MS")
    if not env.embedded and not yes_write_here:
        raise click.UsageError(
            "DATABASE_URL is not the embedded database. The benchmark makes a database of its own on that server, "
            "and loads it; if that is what you want, add --yes-write-here."
        )
    with database_for_command(env) as server, own_database(server) as url:
        timings = asyncio.run(measure(replace(env, database_url=url), count, rounds))
    click.echo(table(timings, *limits))
    sys.exit(any(over(timing, *limits) for timing in timings))


def threshold(name: str) -> float | None:
    """Milliseconds from the environment; None: no limit."""
    text = os.environ.get(name, "").strip()
    try:
        return float(text) if text else None
    except ValueError:
        raise ConfigurationError(f"{name} is {text!r}; give milliseconds.") from None


async def measure(env: Environment, count: int, rounds: int) -> list[Timing]:
    """Make the data, ask each question `rounds` times."""
    assert env.database_url is not None, "the benchmark's own database"
    await asyncio.to_thread(migrate, env.database_url)
    db = Database(env.database_url, "evenkeel bench")
    policies = Policies(env, db, Bus(db, None))
    try:
        await policies.start()
        await ensure_partitions(db, time.time(), 8)
        with click.progressbar(length=count, label="outcomes", file=sys.stderr) as bar:
            ids = await asyncio.to_thread(fill, env.database_url, count, bar.update)
        async with db.ask() as connection:
            size = await database_bytes(connection)
        click.echo(f"{count} outcomes, the database takes {size / 2**20:.0f} MiB", err=True)
        return [await ask(db, name, question, rounds) for name, question in asked(policies, ids)]
    finally:
        await policies.close()
        await db.close()


def asked(policies: Policies, ids: Sequence[str]) -> list[tuple[str, Question]]:
    """The questions, each as a page or an address of the API asks it."""
    now, ids = time.time(), list(ids)

    def summary(window_s: float, group_by: str | None = None) -> Question:
        return lambda c: questions.whole_summary(c, "checkout", window_s, time.time(), group_by)

    def series(metric: Metric, span_s: float, step_s: int) -> Question:
        return lambda c: questions.series(c, "checkout", metric, now - span_s, now, step_s=step_s, now=now)

    def page(wanted: Filter) -> Question:
        return lambda c: outcomes.outcomes(c, wanted, None, 50)

    budgets: list[tuple[str, Question]] = [
        (f"budget {one.name}", lambda c, one=one: answers.budget(c, one, one.window_s, time.time()))  # type: ignore[misc]
        for one in policies.objectives
    ]
    return [
        ("services", lambda c: questions.services(c, time.time())),
        ("summary 5 min", summary(300)),
        ("summary 1 h by route", summary(3600, "route")),
        ("summary 24 h by version", summary(DAY_S, "version")),
        ("summary 7 d by route", summary(7 * DAY_S, "route")),
        ("series error ratio 1 h", series("error_ratio", 3600, 60)),
        ("series latency 24 h", series("latency", DAY_S, 600)),
        ("series volume 7 d", series("volume", 7 * DAY_S, 3600)),
        ("outcomes by request id", lambda c: outcomes.outcomes_by_request_id(c, ids[int(time.time_ns()) % len(ids)])),
        ("outcomes of a service", page(Filter("checkout", None, None, None, None))),
        ("outcomes of a service, 5xx", page(Filter("checkout", None, 500, None, None))),
        ("suspects", suspects),
        *budgets,
        ("changes of an hour", lambda c: change_store.recent(c, time.time() - 3600, None, 5)),
        ("log lines of a request", lambda c: log_store.lines(c, ids[0])),
        ("checks", check_store.latest),
    ]


async def suspects(connection: AsyncConnection) -> object:
    """Reading and ranking, as an address of the API does."""
    now = time.time()
    asked = SuspectsQuestion("checkout", now)
    changes = await near_changes(connection, asked)
    read = await material(connection, asked, now, changes, connection)
    return read and answered(asked, read, changes)


async def ask(db: Database, name: str, question: Question, rounds: int) -> Timing:
    """Each time in a snapshot of its own, as a request does."""
    taken = []
    for _ in range(WARM_UP + rounds):
        started = time.perf_counter()
        async with db.ask() as connection:
            await question(connection)
        taken.append((time.perf_counter() - started) * 1000)
    found = sorted(taken[WARM_UP:])
    p95 = found[max(0, -(-95 * len(found) // 100) - 1)]
    return Timing(name, rounds, statistics.fmean(found), statistics.median(found), p95, found[-1])


def over(timing: Timing, mean: float | None, p95: float | None) -> bool:
    return (mean is not None and timing.mean > mean) or (p95 is not None and timing.p95 > p95)


def table(timings: Sequence[Timing], mean: float | None, p95: float | None) -> str:
    """A line a question, milliseconds."""
    lines = [f"{'question':<32} {'runs':>5} {'mean':>9} {'p50':>9} {'p95':>9} {'max':>9}  ms"]
    for one in timings:
        verdict = "  OVER" if over(one, mean, p95) else ""
        figures = f"{one.mean:>9.2f} {one.p50:>9.2f} {one.p95:>9.2f} {one.slowest:>9.2f}"
        lines.append(f"{one.name:<32} {one.runs:>5} {figures}{verdict}")
    return "\n".join(lines)


def start() -> None:
    """The command line."""
    try:
        main()
    except ConfigurationError as wrong:
        click.echo(f"benchmark: {wrong}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    start()
