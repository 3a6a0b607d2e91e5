"""A verdict on the newest version of each service: whether it fails more than the one before, on the same routes.

Where both still run, minutes of the same ten are compared, so that what hits both at once is
no version's fault; else what was since it was first seen with the hour before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from server.live.service import VersionCount
from server.slo.model.comparison import ENOUGH, Comparison, Stratum, compare
from server.slo.model.status import VersionVerdict

MINUTE_S = 60
SERVES_S = 180  # a version serves while the newest minute in which it counted began so lately


def version_verdicts(rows: Iterable[VersionCount], now: float) -> dict[str, VersionVerdict]:
    """By service; without services that had no other version to compare with."""
    by_service: dict[str, list[VersionCount]] = {}
    for row in rows:
        by_service.setdefault(row.service, []).append(row)
    found = {service: verdict_of(each, now) for service, each in sorted(by_service.items())}
    return {service: verdict for service, verdict in found.items() if verdict is not None}


def verdict_of(rows: Sequence[VersionCount], now: float) -> VersionVerdict | None:
    """The verdict on the newest version of one service; None where there is no other one."""
    newest = rows[0].newest
    own = [row for row in rows if row.version == newest]
    other = version_before(rows)
    if other is None or not own:
        return None
    theirs = [row for row in rows if row.version == other]
    beside = by_slot(own, [row for row in theirs if row.slot >= 0])
    both = min(sum(each.n for each in beside), sum(each.other_n for each in beside)) >= ENOUGH
    runs_beside = both and serves(own, now) and serves(theirs, now) and goes_on(own, theirs)
    found = compare(beside if runs_beside else by_route(own, [row for row in theirs if row.slot < 0] or theirs))
    return as_verdict(rows[0], other, found, beside=runs_beside, serves=serves(own, now))


def version_before(rows: Iterable[VersionCount]) -> str | None:
    """The other version that counted most before the newest was first seen, else since then."""
    before: dict[str, tuple[int, int]] = {}
    for row in rows:
        if row.version != row.newest:
            had, since = before.get(row.version, (0, 0))
            before[row.version] = (had + row.n, since) if row.slot < 0 else (had, since + row.n)
    return max(before, key=lambda version: (before[version], version), default=None)


def serves(rows: Iterable[VersionCount], now: float) -> bool:
    """Whether a version still counts."""
    return max((row.last for row in rows), default=0) > now - SERVES_S


def goes_on(own: Iterable[VersionCount], theirs: Iterable[VersionCount]) -> bool:
    """Whether the other version counted after the minute in which the newest came, which holds what was before: one
    that was told of comes with its first outcome."""
    came = min(max(row.first - row.first % MINUTE_S, row.began) for row in own)
    return any(row.last >= came + MINUTE_S for row in theirs)


def by_route(own: Iterable[VersionCount], theirs: Iterable[VersionCount]) -> list[Stratum]:
    """Strata of routes."""
    return strata([(row.route, row) for row in own], [(row.route, row) for row in theirs])


def by_slot(own: Iterable[VersionCount], theirs: Iterable[VersionCount]) -> list[Stratum]:
    """Strata of routes and slots in which both ran."""
    return strata([((row.route, row.slot), row) for row in own], [((row.route, row.slot), row) for row in theirs])


def strata(own: Iterable[tuple[object, VersionCount]], theirs: Iterable[tuple[object, VersionCount]]) -> list[Stratum]:
    """What both counted under the same key; what only one did tells nothing."""
    found: dict[object, Stratum] = {}
    for key, row in own:
        one = found.get(key, Stratum(0, 0, 0, 0))
        found[key] = one._replace(bad=one.bad + row.bad, n=one.n + row.n)
    for key, row in theirs:
        one = found.get(key, Stratum(0, 0, 0, 0))
        found[key] = one._replace(other_bad=one.other_bad + row.bad, other_n=one.other_n + row.n)
    return [each for each in found.values() if each.n and each.other_n]


def as_verdict(row: VersionCount, other: str, found: Comparison, *, beside: bool, serves: bool) -> VersionVerdict:
    """The verdict as it is shown."""
    return VersionVerdict(
        service=row.service,
        version=row.newest,
        first_seen=row.first,
        other=other,
        beside=beside,
        serves=serves,
        finding=found.finding,
        bad=found.bad,
        n=found.n,
        other_bad=found.other_bad,
        other_n=found.other_n,
        ratio=found.ratio,
        p=found.p,
    )
