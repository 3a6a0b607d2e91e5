"""`python -m checks [NAME…] [--json] [--base-url URL]`: run checks, print findings, exit 1 on failure."""

from __future__ import annotations

import asyncio
import sys

import click
import msgspec

from checks import registry, runner
from checks.check import ROOT, Check, Surroundings
from server.kernel.db import Database
from server.kernel.errors import ConfigurationError
from server.kernel.settings import Environment, read_environment
from server.kernel.terminal import say
from server.process.command_database import reached
from server.selfcheck.findings import CheckResult

WORDS = {"pass": "PASS", "warn": "WARN", "fail": "FAIL"}


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.option("--base-url", help="The server that runtime_health asks, as in http://localhost:8000.")
@click.option("--list", "listing", is_flag=True, help="List the checks.")
def main(names: tuple[str, ...], as_json: bool, base_url: str | None, listing: bool) -> None:
    """Run the self-checks, all that can run here or those named; exit 1 when one fails.

    Without a NAME, the live ones are left out where no database answers, and
    runtime_health where no --base-url is given.
    """
    if listing:
        for name in registry.NAMES:
            say(f"{name:<20} {registry.load(name).summary}")
        return
    results = asyncio.run(perform(names, base_url))
    say(msgspec.json.format(msgspec.json.encode(results)).decode() if as_json else table(results))
    sys.exit(any(result.status == "fail" for result in results))


async def perform(names: tuple[str, ...], base_url: str | None) -> list[CheckResult]:
    """Run the named checks, or all that can run, one after the other."""
    chosen = chosen_checks(names)
    env, url = database()
    db = Database(url, "evenkeel checks", outcomes_url=env.outcomes_database_url if env else None) if url else None
    around = Surroundings(ROOT, env, db, base_url)
    try:
        return [await runner.run(check, around) for check in chosen if names or runnable(check, around)]
    finally:
        if db is not None:
            await db.close()


def chosen_checks(names: tuple[str, ...]) -> list[Check]:
    try:
        return [registry.load(name) for name in names or registry.NAMES]
    except KeyError as error:
        raise click.UsageError(f"There is no check {error}; there are {', '.join(registry.NAMES)}.") from None


def runnable(check: Check, around: Surroundings) -> bool:
    """Whether a check that nobody named has what it needs; a skipped one is said on standard error."""
    missing = {"database": around.db is None, "server": around.base_url is None}.get(check.needs, False)
    if missing:
        way = "no database answers" if check.needs == "database" else "give --base-url"
        say(f"skip {check.name}: {way}", err=True)
    return not missing


def database() -> tuple[Environment, str | None]:
    """The environment, and the database where one answers: checks never start or make one."""
    env = read_environment(for_database_only=True)
    return env, reached(env)


def table(results: list[CheckResult]) -> str:
    """The results as lines: one a check, then what it found and what to do."""
    lines = []
    for result in results:
        lines.append(f"{WORDS[result.status]}  {result.name}  ({result.duration_ms:.0f} ms)")
        for finding in result.findings:
            where = f"{finding.where}: " if finding.where else ""
            lines += [f"      {finding.level}: {where}{finding.what}", f"            -> {finding.hint}"]
    failed = sum(result.status == "fail" for result in results)
    return "\n".join([*lines, f"{len(results)} check{'' if len(results) == 1 else 's'}, {failed} failed"])


def start(*names: str) -> None:
    """The command line, for scripts: the named checks, then what the caller gave."""
    try:
        main([*names, *sys.argv[1:]])
    except ConfigurationError as wrong:
        say(f"checks: {wrong}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    start()
