"""The provisional objectives: one for each service that sends and that nobody configured.

So the first outage of such a service is seen. Every process makes the same ones from
the same services, so that their names lead to the same ledgers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from server.kernel.names import OTHER
from server.slo.model.budget_policy import Defaults
from server.slo.model.objective import Objective, Policy

PREFIX = "default-"
PLAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?")  # with the prefix and a digest still a name
DIGEST = re.compile(r".*-[0-9a-f]{16}")
TITLE_CHARACTERS = 200


def with_defaults(policy: Policy, services: Iterable[str], most: int) -> tuple[Objective, ...]:
    """The objectives of the file and the provisional ones; together at most `most`.

    What is counted under `(other)` has none: it is a mixture of services, and a
    finding names it.
    """
    if policy.budget_policy.defaults is None:
        return policy.objectives
    guarded = {objective.service for objective in policy.objectives} | {OTHER, ""}
    taken = {objective.name for objective in policy.objectives}
    found = list(policy.objectives)
    for service in sorted(set(services) - guarded):
        if len(found) >= most:
            break
        name = name_of(service, taken)
        if name not in taken:
            taken.add(name)
            found.append(provisional(service, name, policy.budget_policy.defaults))
    return tuple(found)


def provisional(service: str, name: str, defaults: Defaults) -> Objective:
    """The objective of a service that nobody configured: availability at the policy's default."""
    return Objective(
        name=name,
        title=f"{service[:TITLE_CHARACTERS]} works (provisional)",
        service=service,
        kind="availability",
        target=defaults.target,
        threshold_us=None,
        window_days=defaults.window_days,
        provisional=True,
    )


def name_of(service: str, taken: Iterable[str]) -> str:
    """`default-checkout`; with a digest of the service where its name is no name of an objective, or is taken.

    A service that is called like such a digest gets one too, so that it takes no other's name.
    """
    plain = PREFIX + service
    if PLAIN.fullmatch(service) and not DIGEST.fullmatch(service) and plain not in taken:
        return plain
    readable = re.sub(r"[^a-z0-9]+", "-", service[:TITLE_CHARACTERS].lower()).strip("-")[:36].strip("-")
    digest = hashlib.sha256(service.encode(errors="surrogatepass")).hexdigest()[:16]
    return PREFIX + "-".join(part for part in (readable, digest) if part)
