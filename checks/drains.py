"""No drain has fallen silent since Evenkeel was restarted."""

from __future__ import annotations

from collections.abc import Iterable

from checks import store
from checks.check import Check, Surroundings, warn
from server.kernel.text import span
from server.selfcheck.findings import Finding

HINT = (
    "Its sender has given up. Heroku: remove the drain and add it again (heroku drains). rsyslog: restart it, and set"
    ' action.resumeRetryCount="-1". Others: restart the shipper. A drain that was taken away: revoke its key.'
)


async def run(around: Surroundings) -> list[Finding]:
    """Drains that sent nearly each minute before a restart of ours, and nothing since."""
    async with around.database.ask() as connection:
        return silent(await store.silent_drains(connection))


def silent(drains: Iterable[store.SilentDrain]) -> list[Finding]:
    return [
        warn(
            f"The {one.receiver} drain of {one.key} is silent for {span(one.silent_s)}, since a restart.", HINT, one.key
        )
        for one in drains
    ]


CHECK = Check(
    "drains",
    "No drain has fallen silent since a restart",
    needs="database",
    run=run,
    every_s=60,
    limit_s=10,
)
