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
        return silent(await store.silent_drains(connection, receivers()))


def receivers() -> list[str]:
    """Those whose addresses are drains."""
    from server.routes import API  # every handler: only where a service runs, which has them

    return [route.handler.receiver for route in API if route.path.startswith("/api/v1/drains/")]


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
