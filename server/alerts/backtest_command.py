"""`python -m server slo backtest FILE`: the alerts that a policy file would have made in the last 28 days."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from server.auth.commands import click_errors
from server.kernel import shared_clock
from server.kernel.terminal import say, say_table
from server.kernel.text import percent, span
from server.slo.policy.commands import FILE, parsed

if TYPE_CHECKING:
    from server.alerts.backtest import PastAlert
    from server.alerts.backtesting import Backtested
    from server.slo.model.objective import Policy

HEAD = (
    "ONSET (UTC)",
    "DETECTED",
    "RESET",
    "OBJECTIVE",
    "SEVERITY",
    "TIER",
    "TELLS",
    "BAD OF TOTAL",
    "BUDGET SPENT",
)
LIMIT_S = 3600.0


@click.command("backtest")
@click.argument("file", type=FILE)
def backtest_command(file: Path) -> None:
    """Show what a policy file would have alerted on in 28 days.

    DETECTED and RESET are counted from the onset. The ledger has minutes: live, the fast
    test is up to some minutes faster.
    """
    from server.alerts.backtesting import gaps, summary
    from server.kernel.settings import read_environment
    from server.process.command_database import database_for_command

    policy = parsed(file)
    with click_errors(), database_for_command(read_environment(for_database_only=True)) as url:
        found = asyncio.run(over(url, policy))
    say_table(HEAD, [cells(alert) for alert in found.alerts])
    say("\n".join((f"{file}: {summary(found)}", *gaps(found))), err=True)


async def over(url: str, policy: Policy) -> Backtested:
    from server.alerts.backtesting import run
    from server.kernel.db import Database

    db = Database(url, "evenkeel backtest")
    try:
        hidden = not sys.stderr.isatty()
        with click.progressbar(length=1, label="Backtesting", file=sys.stderr, hidden=hidden) as bar:

            def show(done: int, of: int) -> None:
                bar.length = of
                bar.update(done - bar.pos)

            return await run(db, policy, shared_clock.now(), LIMIT_S, show)
    finally:
        await db.close()


def cells(alert: PastAlert) -> tuple[str, ...]:
    """One alert."""
    return (
        datetime.fromtimestamp(alert.onset, UTC).strftime("%Y-%m-%d %H:%M"),
        after(alert, alert.detected_at),
        after(alert, alert.reset_at),
        alert.objective,
        f"SEV-{alert.severity}",
        alert.tier,
        "nobody" if alert.fired_at is None else alert.urgency,
        f"{alert.bad:,} of {alert.total:,}",
        percent(alert.spent),
    )


def after(alert: PastAlert, at: float | None) -> str:
    """A time as how long after the onset."""
    return "goes on" if at is None else f"+{span(at - alert.onset)}"
