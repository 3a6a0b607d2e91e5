"""Services, routes and versions keep below their caps; over it they are counted under (other)."""

from __future__ import annotations

from collections.abc import Sequence

from checks import store
from checks.check import Check, Surroundings, Unavailable, warn
from server.kernel.names import OTHER
from server.kernel.settings import Environment
from server.selfcheck.findings import Finding

NEAR = 0.9


async def run(around: Surroundings) -> list[Finding]:
    """How many names there are of each kind."""
    if around.env is None:
        raise Unavailable("The caps are not known.", "Run it with the server's environment.")
    async with around.database.ask() as connection:
        services, per_service = await store.names(connection)
    return judged(services, per_service, around.env)


def judged(services: int, per_service: Sequence[tuple[str, int, int]], env: Environment) -> list[Finding]:
    """Findings from the number of services, and each one's routes and versions."""
    found = [near("services", services, env.services_max, "SERVICES_MAX")]
    for service, routes, versions in per_service:
        found.append(near(f"routes of {service}", routes, env.routes_max, "ROUTES_MAX"))
        found.append(near(f"versions of {service}", versions, env.versions_max, "VERSIONS_MAX"))
    return [finding for finding in found if finding is not None]


def near(what: str, count: int, most: int, variable: str) -> Finding | None:
    if count < most * NEAR:
        return None
    state = f"New ones are counted under {OTHER}." if count >= most else f"From {most} on they share {OTHER}."
    hint = f"Send templates such as /orders/{{id}} instead of paths, or raise {variable}."
    return warn(f"{count} {what} of {most}. {state}", hint)


CHECK = Check("cardinality", "Services, routes and versions keep below their caps", "database", run, 300, 20)
