"""The clocks of Evenkeel's machines and of senders agree with the database's."""

from __future__ import annotations

from collections.abc import Iterable

from checks import store
from checks.check import Check, Surroundings, warn
from server.kernel.text import span
from server.process.degraded import OFF_S
from server.selfcheck.findings import Finding

MACHINE = "Keep its clock by NTP (timedatectl set-ntp true). Meanwhile its processes stamp by the database's clock."

SENDER = "Keep the clock of that machine by NTP. Meanwhile its outcomes are taken as of when they arrive."


async def run(around: Surroundings) -> list[Finding]:
    """As each process has measured it."""
    async with around.database.ask() as connection:
        return [*machines(await store.clocks(connection)), *senders(await store.clocks_ahead(connection))]


def machines(clocks: Iterable[tuple[str, float]]) -> list[Finding]:
    """The machines that are off; `clocks` are hosts and by how many seconds each is ahead of the database's."""
    return [
        warn(f"Its clock is {span(abs(s))} {'ahead of' if s > 0 else 'behind'} the database's.", MACHINE, host)
        for host, s in clocks
        if abs(s) >= OFF_S
    ]


def senders(ahead: Iterable[tuple[str, str, float]]) -> list[Finding]:
    """Services that were sent with a clock that is ahead; their keys, and by how many seconds."""
    return [warn(f"A sender's clock is {span(s)} ahead (key {key}).", SENDER, service) for service, key, s in ahead]


CHECK = Check(
    "clocks",
    "The clocks of machines and senders agree with the database's",
    needs="database",
    run=run,
    every_s=30,
    limit_s=10,
)
