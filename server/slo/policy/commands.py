"""`python -m server slo lint|apply|rules`: what a policy file says, before it is saved."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from server.kernel.terminal import say

if TYPE_CHECKING:
    from server.kernel.settings import Environment
    from server.selfcheck.findings import Finding
    from server.slo.model.objective import Policy

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=FILE)
def lint(file: Path) -> None:
    """Name what is odd about a policy file.

    Exit 0: nothing, 1: something to look at, 2: it cannot be used. Where the database answers, the traffic of the
    last days is looked at too.
    """
    from server.slo.policy import lint as rules

    policy = parsed(file)
    found = [*rules.lint(policy), *(asyncio.run(of_traffic(policy)))]
    for one in found:
        say(": ".join(filter(None, (str(file), one.where, f"{one.what} {one.hint}"))))
    odd = sum(one.level != "note" for one in found)
    say(f"{file}: {len(policy.objectives)} objectives, {odd or 'nothing'} to look at.", err=True)
    sys.exit(1 if odd else 0)


@click.command("apply")
@click.argument("file", type=FILE, required=False)
def apply_command(file: Path | None) -> None:
    """Put a policy file in force, by default SLO_FILE.

    Everywhere within seconds, also one that was superseded. A deploy does this in its release phase. Exit 2: it
    cannot be used, and nothing was changed.
    """
    from server.auth.commands import click_errors
    from server.kernel.settings import read_environment
    from server.process.command_database import database_for_command

    env = read_environment(for_database_only=True)
    path = env.slo_file if file is None else file
    parsed(path)
    with click_errors(), database_for_command(env) as url:
        say(asyncio.run(put_in_force(env, url, path.read_text())), err=True)


@click.command("rules")
@click.argument("file", type=FILE, required=False)
def rules_command(file: Path | None) -> None:
    """Print a policy file as rules for Prometheus.

    By default SLO_FILE.
    """
    from server.kernel.settings import read_environment
    from server.slo.policy.prometheus import rules

    path = read_environment(for_database_only=True).slo_file if file is None else file
    say(rules(parsed(path).objectives), nl=False)


async def put_in_force(env: Environment, url: str, source: str) -> str:
    """Store the policy and tell the running processes; what was done, as a sentence."""
    from server.auth.commands import actor
    from server.kernel.bus import Bus
    from server.kernel.db import Database
    from server.slo.policy import store
    from server.slo.policy.adoption import adopt

    db = Database(url, "evenkeel slo")
    bus = Bus(db, env.redis_url)
    try:
        async with db.act() as connection:
            adopted = await adopt(connection, source, author=actor(), asked=True)
            number = await store.newest_number(connection)
        if adopted != "stored":
            return f"Policy revision {number} is this file already; nothing was changed."
        await bus.publish("policy", number)
        return f"Policy revision {number} is in force."
    finally:
        await bus.close()
        await db.close()


def parsed(file: Path) -> Policy:
    """The policy of a file; ends with status 2 and the faults where it cannot be used."""
    from server.slo.model.objective import PolicyError
    from server.slo.policy.documents import MAX_BYTES
    from server.slo.policy.policy import parse

    try:
        with file.open("rb") as opened:
            return parse(opened.read(MAX_BYTES + 1).decode(), str(file))
    except PolicyError as error:
        say(str(error), err=True)
    except OSError as error:
        say(f"{file}: {error.strerror}", err=True)
    except UnicodeDecodeError:
        say(f"{file}: not UTF-8 text", err=True)
    sys.exit(2)


async def of_traffic(policy: Policy) -> list[Finding]:
    """What traffic says, where a database answers; none is started for it."""
    from server.kernel.db import Database
    from server.kernel.settings import read_environment
    from server.process.command_database import reached
    from server.slo.policy import lint as rules
    from server.slo.policy.store import traffic

    url = reached(read_environment(for_database_only=True))
    if url is None:
        say("Traffic is not looked at: no database answers.", err=True)
        return []
    db = Database(url, "evenkeel slo")
    try:
        async with db.ask() as connection:
            return rules.against_traffic(policy, await traffic(connection, rules.TRAFFIC_DAYS))
    finally:
        await db.close()
