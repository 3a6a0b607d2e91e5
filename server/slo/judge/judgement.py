"""One objective, judged: which of its tiers hold, its state for the picture, and the evidence for alerts.

A tier of server/slo/model/tiers.py holds where both of its windows burn at its rate, and where the
long one surely does: its lower confidence bound is above burn rate * (1 - target).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from statistics import median

from msgspec.structs import replace

from server.kernel.names import OWN
from server.live.service import LiveService, RouteVersion
from server.slo.judge.streams import Verdict
from server.slo.ledger.history import share_of
from server.slo.ledger.windows import ByWindow, first_minute
from server.slo.model.budget import (
    budget_left,
    budget_low,
    budget_range,
    burn_rate,
    exhausted_in_period_s,
    exhausted_in_s,
    judged,
)
from server.slo.model.budget_policy import PagingPolicy
from server.slo.model.comparison import Stratum, compare
from server.slo.model.confidence import surely_exceeds
from server.slo.model.counts import Counts
from server.slo.model.memory import Memory, Recovery
from server.slo.model.objective import Objective
from server.slo.model.sequential import null_ratio
from server.slo.model.status import (
    BurnWindow,
    Evidence,
    ObjectiveStatus,
    OnsetMethod,
    Slowness,
    State,
    TierState,
    VersionVerdict,
    worst,
)
from server.slo.model.tiers import H1, M5, Tier

SHOWN_S = (M5, H1)  # windows that the pages show whatever the tiers are
MINUTE_S = 60
ENOUGH = 30  # outcomes in a minute: of fewer a ratio says nothing of the impact
STARTING_S = 180  # so long after its very first evaluation Evenkeel wakes nobody of itself: a first start is no outage
YOUNG_S = 60  # heard of for less: whether what burns still goes on is not known, and nobody is woken by the past


def burns(counts: Counts, ratio: Fraction) -> bool:
    """Whether the bad ratio is at least `ratio`; of nothing it is not."""
    return counts.total > 0 and Fraction(counts.bad, counts.total) >= ratio


def deciding(
    tiers: Iterable[Tier], counts: Mapping[int, Counts], allowed: Fraction, memory: Memory, end: float
) -> Tier | None:
    """The most urgent tier that holds on more than one client's failures, and still goes on."""
    return next((tier for tier in tiers if tier_state(tier, counts, allowed, memory, end) == "holds"), None)


def tier_states(
    tiers: Iterable[Tier], counts: Mapping[int, Counts], allowed: Fraction, memory: Memory, end: float
) -> dict[str, TierState]:
    """By name, how each tier stands whose windows both burn at its rate."""
    found = {tier.name: tier_state(tier, counts, allowed, memory, end) for tier in tiers}
    return {name: one for name, one in found.items() if one is not None}


def holding(tiers: Iterable[Tier], states: Mapping[str, TierState]) -> Tier | None:
    """The most urgent tier that holds, of the states that `tier_states` returns."""
    return next((tier for tier in tiers if states.get(tier.name) == "holds"), None)


def tier_state(
    tier: Tier, counts: Mapping[int, Counts], allowed: Fraction, memory: Memory, end: float
) -> TierState | None:
    """Whether a tier holds, or why not although both of its windows burn at its rate; None: they do not."""
    long, short, ratio = counts[tier.long_s], counts[tier.short_s], tier.burn * allowed
    if not (burns(long, ratio) and burns(short, ratio)):
        return None
    if not burns(memory.short(short, tier.short_s, end, ratio), ratio):
        return "over"
    if not surely_exceeds(long.bad, long.total, float(ratio)):
        return "unsure"
    return "holds" if memory.several(long.bad, tier.long_s, end) else "one_client"


def spans(tiers: Iterable[Tier]) -> tuple[int, ...]:
    """The windows, in seconds, that these tiers and the pages need, shortest first."""
    return tuple(sorted({*SHOWN_S, *(each for tier in tiers for each in (tier.long_s, tier.short_s))}))


def state_of(tier: Tier | None, fast: bool, low: bool, traffic: bool, senders: State | None) -> State:
    """The state of an objective.

    `tier` is the one that holds, `fast` whether the fast test is on, `low` whether the
    budget is; `traffic` whether there was any within the last hour; `senders` is blind
    or partial where its service's outcomes do not all arrive.
    """
    found: set[State] = set()
    if fast or (tier is not None and tier.urgency == "page"):
        found.add("burning")
    if low or tier is not None:
        found.add("at_risk")
    if senders is not None:
        found.add(senders)
    found.add("ok" if traffic else "no_traffic")
    return worst(found)


@dataclass(frozen=True, slots=True)
class Senders:
    """`state` is blind, partial or None; `unseen` outcomes happened, or should have, and were not counted."""

    state: State | None = None
    unseen: int = 0


ALL_ARRIVES = Senders()


def senders_of(services: Iterable[LiveService], refused: Mapping[str, int]) -> dict[str, Senders]:
    """By service; `refused` are items that a limit refused lately."""
    return {service.name: senders(service, refused.get(service.name, 0)) for service in services}


def senders(service: LiveService, refused: int) -> Senders:
    """Partial outranks blind: a sender that is refused still sends. Silence is counted at the usual rate."""
    if service.partial:
        return Senders("partial", max(refused, service.refused_items + service.lost_items))
    silent = math.ceil((service.silent_s or 0) * (service.usual_per_second or 0.0))
    if service.blind:
        return Senders("blind", silent + max(refused, service.lost_items))
    return ALL_ARRIVES


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known of an objective in this second."""

    objective: Objective
    counts: ByWindow
    senders: Senders
    verdict: Verdict
    recounting: bool = False  # its past is still being counted

    @property
    def whole(self) -> Counts:
        """Over the objective's own window."""
        return self.counts[self.objective.window_key]

    @property
    def fast(self) -> bool:
        """Whether the fast test is on."""
        return self.verdict.onset is not None


def objective_status(observed: Observation, now: float) -> ObjectiveStatus:
    """One objective, in its state since now."""
    objective, counts, whole, allowed = observed.objective, observed.counts, observed.whole, observed.objective.allowed
    known, senders, out = not observed.recounting, observed.senders, counts.out(objective.window_key)
    left, lately, (tiers, tier) = budget_left(whole, allowed) if known else None, counts.in_time(), tiers_now(observed)
    span = budget_range(whole, senders.unseen, allowed) if senders.state and known else None
    return ObjectiveStatus(
        name=objective.name,
        service=objective.service,
        kind=objective.kind,
        target=float(objective.target),
        threshold_ms=None if objective.threshold_us is None else objective.threshold_us / 1000,
        window_days=objective.window_days,
        state=state_of(tier, observed.fast, known and budget_low(whole, allowed), counts[H1].total > 0, senders.state),
        good=whole.good,
        bad=whole.bad,
        excluded=whole.excluded,
        budget_left=left,
        budget_worst=span[0] if span else None,
        budget_best=span[1] if span else None,
        burn_5m=burn_rate(lately[M5], allowed),
        burn_1h=burn_rate(lately[H1], allowed),
        exhausted_in_s=gone_in_s(objective, left, burn_rate(lately_or_now(observed, tier), allowed), now),
        since=now,
        windows=[burn_window(span_s, lately[span_s], allowed) for span_s in spans(objective.tiers)],
        decided_by=[tier.long_s, tier.short_s] if tier else [],
        judged=known and judged(whole, allowed),
        tier=tier_name(observed, tier),
        onset=None if observed.verdict.onset is None else float(observed.verdict.onset),
        suspicion=round(observed.verdict.suspicion, 2),
        provisional=objective.provisional,
        left_out_good=out.good,
        left_out_bad=out.bad,
        budget_left_counted=budget_left(counts.counted(objective.window_key), allowed) if known else None,
        tiers=tiers,
        recounting=observed.recounting,
        minute=burn_window(MINUTE_S, last_minute(observed), allowed),
        unseen=senders.unseen,
        period=None if objective.calendar is None else objective.calendar.period(now),
    )


def tiers_now(observed: Observation) -> tuple[dict[str, TierState], Tier | None]:
    """How each tier stands whose windows both burn at its rate, and the most urgent that holds."""
    objective, verdict = observed.objective, observed.verdict
    states = tier_states(objective.tiers, observed.counts.in_time(), objective.allowed, verdict.memory, verdict.end)
    return states, holding(objective.tiers, states)


def last_minute(observed: Observation) -> Counts:
    """By the second."""
    bad, total = observed.verdict.minute
    return Counts(total - bad, bad)


def lately_or_now(observed: Observation, tier: Tier | None) -> Counts:
    """What says how fast the budget goes: the last minute while it burns, else the last hour."""
    if tier_name(observed, tier) is None:
        return observed.counts.in_time()[H1]
    bad, total = impact(observed, since_onset(observed, tier))
    return Counts(total - bad, bad)


def gone_in_s(objective: Objective, left: float | None, burn: float | None, now: float) -> float | None:
    """Seconds until nothing is left at this burn rate; None: it is not being used up."""
    if objective.calendar is None:
        return exhausted_in_s(left, burn, objective.window_s)
    start, stop = objective.calendar.period(now)
    return exhausted_in_period_s(left, burn, now - start, stop - now)


def burn_window(span_s: int, counts: Counts, allowed: Fraction) -> BurnWindow:
    """One of the windows that decide."""
    return BurnWindow(span_s, counts.bad, counts.total, burn_rate(counts, allowed))


def tier_name(observed: Observation, tier: Tier | None) -> str | None:
    """What holds: a tier that pages outranks the fast test, which outranks one that makes a ticket."""
    if observed.fast and (tier is None or tier.urgency != "page"):
        return "fast"
    return tier.name if tier else None


def onset_of(observed: Observation, tier: Tier | None, now: float) -> tuple[float | None, OnsetMethod | None]:
    """The first bad second of what burns, and how it was found."""
    if observed.verdict.onset is not None:
        return float(observed.verdict.onset), "change point"
    return (max(now - tier.long_s, float(window_start(observed, tier, now))), "window") if tier else (None, None)


def window_start(observed: Observation, tier: Tier, now: float) -> int:
    """The minute in which the shortest window begins that has every failure of a tier's long one."""
    bad = observed.counts[tier.long_s].bad
    least = min(span for span, each in observed.counts.items() if 0 < span <= tier.long_s and each.bad >= bad)
    return first_minute(now, least)


def bounded_onset(evidence: Evidence, observed: Observation, folded: int | None) -> Evidence:
    """Evidence whose onset, told from a window, is not before the first failure in it.

    `folded` is its first minute with a failure in the ledger; what is not there yet, the test remembers.
    """
    assert evidence.onset is not None
    remembered = [minute for minute in observed.verdict.memory.minutes if minute > evidence.onset]
    first = folded if folded is not None else min(remembered, default=evidence.onset)
    return replace(evidence, onset=max(evidence.onset, float(first)))


def evidence_of(  # noqa: PLR0917 - everything that is known
    observed: Observation,
    status: ObjectiveStatus,
    service: LiveService | None,
    paging: PagingPolicy,
    now: float,
    version: VersionVerdict | None = None,
) -> Evidence:
    """What an alert of the objective is made from."""
    tier = holding(observed.objective.tiers, status.tiers)
    onset, method = onset_of(observed, tier, now)
    since = since_onset(observed, tier)
    name = status.tier
    bad, total = impact(observed, since) if name else (0, 0)
    return Evidence(
        objective=status.name,
        service=status.service,
        kind=status.kind,
        target=status.target,
        threshold_ms=status.threshold_ms,
        at=now,
        known=observed.senders.state is None,
        tier=name,
        urgency=None if name is None else "page" if name == "fast" or tier is None else tier.urgency,
        due=is_due(observed, name, since, paging),
        onset=onset,
        onset_method=method,
        bad=since.bad,
        total=since.total,
        bad_ratio=bad / total if total else None,
        spent=share_of(since.bad, observed.whole, observed.objective.allowed),
        budget_left=status.budget_left,
        likely=likely(service, version) if name and status.kind == "availability" else "",
        provisional=status.provisional,
        impact_bad=bad,
        impact_total=total,
        recovery=recovery_of(observed),
        slowness=slowness_of(service, status.threshold_ms, onset) if name else None,
    )


def slowness_of(service: LiveService | None, threshold_ms: float | None, onset: float | None) -> Slowness | None:
    """How slow a service is that a latency objective holds; the p95 before is the median of the seconds before."""
    if service is None or threshold_ms is None:
        return None
    before = [one.p95_ms for one in service.points if one.p95_ms is not None and onset and one.second < onset]
    slow = [route for route in service.routes if route.p95_ms is not None and route.p95_ms > threshold_ms]
    route = max(slow, key=lambda one: (one.n, one.name)).name if slow else ""
    return Slowness(service.p95_ms, median(before) if before else None, route)


def recovery_of(observed: Observation) -> Recovery | None:
    """What says that the failure has ended, where no more is bad since then than the objective tolerates."""
    found = observed.verdict.recovery
    return found if found is not None and found.bad <= observed.objective.allowed * found.total else None


def is_due(observed: Observation, name: str | None, since: Counts, paging: PagingPolicy) -> bool:
    """Whether what holds is worth telling somebody. Of Evenkeel itself what cannot be judged is not: a few pages that
    were slow on a busy machine are no outage, and its checks find what is."""
    if observed.objective.service == OWN and (
        observed.verdict.memory.younger(STARTING_S, observed.verdict.end)
        or not judged(observed.whole, observed.objective.allowed)
    ):
        return False
    if observed.fast and large(since, observed.whole, observed.objective.allowed, paging):
        return True
    return name not in (None, "fast") and not observed.verdict.memory.younger(YOUNG_S, observed.verdict.end)


def since_onset(observed: Observation, tier: Tier | None) -> Counts:
    """What was counted since the onset; where it is not known to the second, over the tier's long window."""
    if observed.fast:
        return Counts(observed.verdict.total - observed.verdict.bad, observed.verdict.bad)
    return observed.counts.in_time()[tier.long_s] if tier else Counts()


def large(since: Counts, whole: Counts, allowed: Fraction, paging: PagingPolicy) -> bool:
    """Whether what the fast test has found may wake somebody: enough of it, and beyond doubt.

    A large one is large by the objective too: of a service of which a tenth may fail, a tenth is none.
    """
    if not surely_exceeds(since.bad, since.total, float(allowed)):
        return False
    spent = whole.total > 0 and since.bad >= paging.spent * allowed * whole.total
    return spent or Fraction(since.bad, since.total) >= max(paging.bad_ratio, null_ratio(allowed))


def impact(observed: Observation, since: Counts) -> tuple[int, int]:
    """Bad and total of the last minute, or since the onset: where that is later, or the minute has few outcomes."""
    (bad, total), onset = observed.verdict.minute, observed.verdict.onset
    if total >= ENOUGH and (onset is None or onset <= observed.verdict.end - MINUTE_S):
        return bad, total
    return since.bad, since.total


def likely(service: LiveService | None, verdict: VersionVerdict | None) -> str:
    """The version that surely fails more: than the others that run, or where all were replaced, than the one before."""
    beside = likely_of_several(service)
    return beside or (f"version {verdict.version}" if verdict is not None and verdict.worse else "")


def likely_of_several(service: LiveService | None) -> str:
    """The version that surely fails more than the others on the same routes; of several the surest."""
    if service is None or len(service.versions) < 2 or not service.bad:
        return ""
    found = {each.name: compare(against_others(service, each.name)) for each in service.versions if each.name}
    worse = [name for name, one in found.items() if one.finding == "worse"]
    surest = min(worse, key=lambda name: (found[name].p, -found[name].bad), default=None)
    return "" if surest is None else f"version {surest}"


def against_others(service: LiveService, version: str) -> list[Stratum]:
    """A version and all others, by route; where a picture has no routes of versions, as on one route."""
    rows = service.by_route or [RouteVersion("", each.name, each.n, each.bad) for each in service.versions]
    found: dict[str, Stratum] = {}
    for row in rows:
        bad, n, other_bad, other_n = found.get(row.route, Stratum(0, 0, 0, 0))
        if row.version == version:
            found[row.route] = Stratum(bad + row.bad, n + row.n, other_bad, other_n)
        else:
            found[row.route] = Stratum(bad, n, other_bad + row.bad, other_n + row.n)
    return list(found.values())
