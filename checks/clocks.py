"""The clocks of the machines that Evenkeel runs on agree with the database's."""

from __future__ import annotations

from collections.abc import Iterable

from checks import store
from checks.check import Check, Surroundings, warn
from server.kernel.text import span
from server.selfcheck.findings import Finding

OFF_S = 1.0  # a clock that is kept by NTP is right to some milliseconds

MACHINE = "Keep its clock by NTP (timedatectl set-ntp true). Meanwhile its processes stamp by the database's clock."


async def run(around: Surroundings) -> list[Finding]:
    """As each process has measured it."""
    async with around.database.ask() as connection:
        return machines(await store.clocks(connection))


def machines(clocks: Iterable[tuple[str, float]]) -> list[Finding]:
    """The machines that are off; `clocks` are hosts and by how many seconds each is ahead of the database's."""
    return [
        warn(f"Its clock is {span(abs(s))} {'ahead of' if s > 0 else 'behind'} the database's.", MACHINE, host)
        for host, s in clocks
        if abs(s) >= OFF_S
    ]


CHECK = Check(
    "clocks",
    "The machines' clocks agree with the database's",
    needs="database",
    run=run,
    every_s=30,
    limit_s=10,
)
