"""The provisional objectives: one for each service that sends and that nobody configured, and two for a drill's.

So the first outage of such a service is seen. Every process makes the same ones from
the same services, so that their names lead to the same ledgers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

from server.kernel.names import DRILL, OTHER, is_drill
from server.slo.model.budget_policy import Defaults
from server.slo.model.objective import Objective, Policy

PREFIX = "default-"
PLAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?")  # with the prefix and a digest still a name
DIGEST = re.compile(r".*-[0-9a-f]{16}")
TITLE_CHARACTERS = 200
DRILL_TARGET, DRILL_DAYS = Fraction(99, 100), 28
DRILL_OVER_US = 300_000  # slower is bad in a drill


def with_defaults(policy: Policy, services: Iterable[str], most: int) -> tuple[Objective, ...]:
    """The objectives of the file and the provisional ones; together at most `most`.

    What is counted under `(other)` has none: it is a mixture of services, and a
    finding names it.
    """
    sending, defaults = set(services), policy.budget_policy.defaults
    taken = {objective.name for objective in policy.objectives}
    found = list(policy.objectives)
    for service in sorted(each for each in sending if is_drill(each)):
        if len(found) + 2 <= most:
            found += of_drill(service, taken)
    guarded = {objective.service for objective in found} | {OTHER, ""}
    taken = {objective.name for objective in found}
    for service in sorted(sending - guarded) if defaults is not None else ():
        if len(found) >= most:
            break
        name = name_of(service, taken)
        if defaults is not None and name not in taken:
            taken.add(name)
            found.append(provisional(service, name, defaults))
    return tuple(found)


def of_drill(service: str, taken: Iterable[str]) -> tuple[Objective, Objective]:
    """What a drill is held to, so that it is found as any service is: 99 % succeed, and 99 % of those within 300 ms.

    They are built in, because no policy may name a drill. They have no burn tiers: in long windows an earlier drill
    would burn on, and be found in place of the next.
    """
    what = service.removeprefix(DRILL)
    works, fast = (name_of(f"{what}-{kind}", taken, "drill-") for kind in ("works", "fast"))
    held = Objective(works, f"{what} works (drill)", service, "availability", DRILL_TARGET, None, DRILL_DAYS)
    held = replace(held, provisional=True, own_tiers=())
    quick = replace(held, name=fast, title=f"{what} is fast (drill)", kind="latency", threshold_us=DRILL_OVER_US)
    return held, quick


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


def name_of(service: str, taken: Iterable[str], prefix: str = PREFIX) -> str:
    """`default-checkout`; with a digest of the service where its name is no name of an objective, or is taken.

    A service that is called like such a digest gets one too, so that it takes no other's name.
    """
    plain = prefix + service
    if PLAIN.fullmatch(service) and not DIGEST.fullmatch(service) and plain not in taken:
        return plain
    readable = re.sub(r"[^a-z0-9]+", "-", service[:TITLE_CHARACTERS].lower()).strip("-")[:36].strip("-")
    digest = hashlib.sha256(service.encode(errors="surrogatepass")).hexdigest()[:16]
    return prefix + "-".join(part for part in (readable, digest) if part)
