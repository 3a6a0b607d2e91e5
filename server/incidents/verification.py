"""What says that a step has worked: a predicate over live data that holds for a time, before a deadline.

`error ratio under 1 % for 3 minutes, within 10` is read here, and looked at second by second. Times are Unix seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from server.incidents.proof import needed_requests
from server.kernel.text import ms, percent, plural, span

SETTLED_S = 2  # a second is counted once so much has passed: what comes later is missing, which claims too little
NORMAL_TRAFFIC = (0.5, 2.0)  # times what it is compared with
NORMAL_P95 = 1.5
HOLD_MAX_S, WITHIN_MAX_S = 3600, 86_400
FORMS = (
    "error ratio under 1 %; p95 under 300 ms; p95 normal; traffic normal; objectives hold; alerts resolved; "
    "evenkeel ready; report written; preventive action listed"
)
WHOLE = "write it as `error ratio under 1 % for 3 minutes, within 10`"

PredicateKind = Literal[
    "error_ratio", "p95", "traffic", "objectives", "alerts", "evenkeel", "report_written", "action_listed"
]
PATTERNS: tuple[tuple[str, PredicateKind], ...] = (
    (r"error ratio under (\d{1,3}(?:\.\d{1,4})?) ?%", "error_ratio"),
    (r"p95 under (\d{1,6}(?:\.\d{1,3})?) ?ms", "p95"),
    (r"p95 normal", "p95"),
    (r"traffic normal", "traffic"),
    (r"objectives hold", "objectives"),
    (r"alerts resolved", "alerts"),
    (r"evenkeel ready", "evenkeel"),
    (r"report written", "report_written"),
    (r"preventive action listed", "action_listed"),
)
# What the incident itself says: nobody has to wait for it.
OF_THE_INCIDENT: tuple[PredicateKind, ...] = ("report_written", "action_listed")
UNIT_S = {"second": 1, "minute": 60, "hour": 3600}
TIMES = re.compile(
    r"(?P<what>.*?)(?: for (?P<hold>\d{1,4}) (?P<hold_unit>second|minute|hour)s?)?"
    r"(?:, within (?P<within>\d{1,4})(?: (?P<within_unit>second|minute|hour)s?)?)?",
    re.ASCII,
)


class Predicate(Struct, frozen=True):
    """One thing that is true or not. `limit` in % or ms; None: what is normal, or there is none."""

    kind: PredicateKind
    limit: Decimal | None = None


class Verification(Struct, frozen=True):
    """Every predicate holds for `hold_s` without a break, within `within_s` seconds; 0: whenever it does."""

    text: str
    predicates: tuple[Predicate, ...]
    hold_s: int
    within_s: int

    @property
    def live(self) -> bool:
        """Whether it is watched; else the incident itself says it."""
        return self.predicates[0].kind not in OF_THE_INCIDENT

    @property
    def compares(self) -> bool:
        """Whether something is compared with what is normal."""
        return any(one.kind == "traffic" or (one.kind == "p95" and one.limit is None) for one in self.predicates)


def parse_verification(text: str) -> Verification:
    """A verification from its words; ValueError says what may stand there."""
    line = " ".join(text.split())
    match = TIMES.fullmatch(line)
    assert match is not None, "its first part takes anything"
    predicates = tuple(predicate(part) for part in match["what"].split(" and "))
    if any(one.kind in OF_THE_INCIDENT for one in predicates):
        if len(predicates) > 1 or match["hold"] or match["within"]:
            raise ValueError("is of the incident itself: it stands alone, with no time")
        return Verification(line, predicates, 0, 0)
    if not match["within"]:
        raise ValueError(f"has no deadline; {WHOLE}")
    unit = match["hold_unit"] or "minute"
    hold_s = int(match["hold"] or 0) * UNIT_S[unit]
    within_s = int(match["within"]) * UNIT_S[match["within_unit"] or unit]
    if hold_s > HOLD_MAX_S or within_s > WITHIN_MAX_S or within_s <= hold_s:
        raise ValueError("holds for up to 60 minutes, within more than that and up to 24 hours")
    return Verification(line, predicates, hold_s, within_s)


def predicate(text: str) -> Predicate:
    """One predicate from its words; ValueError."""
    for pattern, kind in PATTERNS:
        match = re.fullmatch(pattern, text, re.ASCII)
        if match is not None:
            limit = Decimal(match[1]) if match.groups() else None
            if limit is not None and not (limit > 0 and (kind != "error_ratio" or limit <= 100)):
                raise ValueError(f"`{text}` can never hold; give a limit above 0")
            return Predicate(kind, limit)
    raise ValueError(f"`{text[:60]}` is not known; known are {FORMS}")


class Baseline(Struct):
    """What is normal for a service, and where that is from: `the hour before onset`."""

    per_second: float
    p95_ms: float | None
    source: str


class ServiceSight(Struct):
    """One service, as the picture shows it. `unseen` says why nothing may be said of it; '' where it is in sight.
    `bad` of `n` in the last minute; `seconds` are second, n and bad, oldest first."""

    name: str
    n: int = 0
    bad: int = 0
    p95_ms: float | None = None
    per_second: float = 0.0  # over 5 minutes
    unseen: str = ""
    holding: bool | None = None  # its objectives; None: it has none
    seconds: list[tuple[int, int, int]] = []
    baseline: Baseline | None = None


class Sight(Struct):
    """What is seen of an incident at a moment. `services`: its own first. `blind`: why nothing can be said at all.
    `failed_ratio`: how much failed at worst, 0 to 1."""

    at: float
    services: list[ServiceSight]
    open_alerts: int = 0
    open_signals: int = 0  # of those that may open an incident
    failed_ratio: float = 0.0
    processes: int = 0
    silent: int = 0
    redis: bool | None = None
    blind: str = ""


class PredicateReading(Struct):
    """What a predicate comes to. `holds` None: no data."""

    holds: bool | None
    text: str


def found(one: Predicate, sight: Sight) -> PredicateReading:
    """What a predicate comes to now."""
    if sight.blind:
        return PredicateReading(None, sight.blind)
    if one.kind == "alerts":
        text = f"{plural(sight.open_alerts, 'alert')} open"
        text += f", {plural(sight.open_signals, 'signal')} without an end" if sight.open_signals else ""
        return PredicateReading(not sight.open_alerts and not sight.open_signals, text)
    if one.kind == "evenkeel":
        ready = bool(sight.processes) and not sight.silent and sight.redis is not False
        text = f"{sight.processes - sight.silent} of {sight.processes} processes answer"
        return PredicateReading(ready, f"{text}, Redis lost" if sight.redis is False else text)
    if not sight.services:
        return PredicateReading(None, "the incident names no service")
    each = [found_of(one, service) for service in sight.services]
    return next((f for f in each if f.holds is False), next((f for f in each if f.holds is None), each[0]))


def found_of(one: Predicate, seen: ServiceSight) -> PredicateReading:
    """What a predicate about a service comes to."""
    if seen.unseen:
        return PredicateReading(None, f"{seen.name} {seen.unseen}")
    if one.kind == "objectives":
        return found_objectives(seen)
    if one.kind == "traffic":
        return found_traffic(seen)
    if not seen.n:
        return PredicateReading(None, f"no request of {seen.name} in the last minute")
    return found_ratio(one, seen) if one.kind == "error_ratio" else found_p95(one, seen)


def found_objectives(seen: ServiceSight) -> PredicateReading:
    """Whether no objective of a service burns."""
    if seen.holding is None:
        return PredicateReading(None, f"{seen.name} has no objective that is judged")
    return PredicateReading(seen.holding, f"{seen.name}'s objectives {'hold' if seen.holding else 'burn'}")


def found_ratio(one: Predicate, seen: ServiceSight) -> PredicateReading:
    """Whether less of a service's last minute fails."""
    assert one.limit is not None, "it is read with one"
    text = f"{seen.name}: {seen.bad:,} of {seen.n:,} fail ({percent(seen.bad / seen.n)})"
    return PredicateReading(seen.bad * 100 < one.limit * seen.n, text)


def found_traffic(seen: ServiceSight) -> PredicateReading:
    """Whether a service has about the traffic that is normal."""
    if seen.baseline is None or not seen.baseline.per_second:
        return PredicateReading(None, f"nothing to compare the traffic of {seen.name} with")
    normal = seen.baseline.per_second
    low, high = (normal * times for times in NORMAL_TRAFFIC)
    text = f"{seen.name}: {seen.per_second:.2g}/s against {normal:.2g}/s in {seen.baseline.source}"
    return PredicateReading(low <= seen.per_second <= high, text)


def found_p95(one: Predicate, seen: ServiceSight) -> PredicateReading:
    """Whether a service is as fast as a limit, or as is normal."""
    if seen.p95_ms is None:
        return PredicateReading(None, f"{seen.name} has no latency")
    if one.limit is not None:
        return PredicateReading(seen.p95_ms < float(one.limit), f"{seen.name}: p95 {ms(seen.p95_ms)}")
    if seen.baseline is None or seen.baseline.p95_ms is None:
        return PredicateReading(None, f"nothing to compare the p95 of {seen.name} with")
    normal = seen.baseline.p95_ms
    text = f"{seen.name}: p95 {ms(seen.p95_ms)} against {ms(normal)} in {seen.baseline.source}"
    return PredicateReading(seen.p95_ms <= NORMAL_P95 * normal, text)


# open: nothing has happened; watching, no_data: live data is looked at, and the last look had none of it;
# confirmed, failed: live data said so; done, overridden: a person did.
StepState = Literal["open", "watching", "no_data", "confirmed", "failed", "done", "overridden"]
OVER: tuple[StepState, ...] = ("confirmed", "done", "overridden")


class KeptStep(Struct):
    """How a step of an incident stands, as it is kept. `good` requests of the incident's own service have come since
    `held_since`, counted up to the second `counted_to`. `decided_at` None: it is still open or watched. `owner`: whom
    it was given to as a task."""

    id: int
    incident_id: int
    step: str
    text: str
    state: StepState
    began_at: float
    held_since: float | None = None
    good: int = 0
    counted_to: int = 0
    reading: str = ""
    decided_at: float | None = None
    decided_by: str = ""
    reason: str = ""
    owner: str = ""

    @property
    def watched(self) -> bool:
        """Whether live data decides it."""
        return self.state in ("watching", "no_data") and self.decided_at is None


def looked(kept: KeptStep, asked: Verification, sight: Sight) -> KeptStep:
    """A watched step after one more look at live data."""
    each = [found(one, sight) for one in asked.predicates]
    holds = combined(one.holds for one in each)
    after = counted(kept, holds, sight)
    needed = needed_requests(sight.failed_ratio) if asks_for_requests(asked) else 0
    waits = waiting(after, asked.hold_s, needed, sight.at)
    said = [one.text for one in each if one.holds is holds] or [one.text for one in each]
    after = replace(after, state="no_data" if holds is None else "watching", reading=sentence(said, waits, holds))
    if holds and not waits:
        proven = f" and {after.good:,} good requests" if needed else ""
        reading = f"{'; '.join(said)}. Held {span(sight.at - (after.held_since or sight.at))}{proven}."
        return replace(after, state="confirmed", decided_at=sight.at, reading=reading)
    if sight.at - kept.began_at < asked.within_s:
        return after
    short = holds and after.held_since is not None and sight.at - after.held_since >= asked.hold_s
    return replace(after, state="no_data" if holds is None or short else "failed", decided_at=sight.at)


def combined(each: Iterable[bool | None]) -> bool | None:
    """All of them: False where one does not hold, else None where one is not known."""
    every = list(each)
    return False if False in every else None if None in every else True


def asks_for_requests(asked: Verification) -> bool:
    """Whether it claims that fewer fail, which takes enough requests to say."""
    return any(one.kind in ("error_ratio", "objectives") for one in asked.predicates)


def counted(kept: KeptStep, holds: bool | None, sight: Sight) -> KeptStep:
    """With the good requests that have come since it holds; from the beginning where it holds no more."""
    if not holds:
        return replace(kept, held_since=None, good=0, counted_to=0)
    until = int(sight.at) - SETTLED_S
    if kept.held_since is None:
        return replace(kept, held_since=sight.at, good=0, counted_to=until)
    seconds = sight.services[0].seconds if sight.services else []
    good = sum(n - bad for second, n, bad in seconds if kept.counted_to < second <= until)
    return replace(kept, good=kept.good + good, counted_to=max(kept.counted_to, until))


def waiting(kept: KeptStep, hold_s: int, needed: int, at: float) -> str:
    """What is missing while it holds; '' where nothing is."""
    if kept.held_since is None:
        return ""
    held = at - kept.held_since
    if held < hold_s:
        return f"held {span(held)} of {span(hold_s)}"
    return f"Waiting for traffic: {kept.good:,} of {needed:,}" if kept.good < needed else ""


def sentence(said: list[str], waits: str, holds: bool | None) -> str:
    """`checkout: 0 of 312 fail (0 %). Held 1 min 12 s of 3 min.`"""
    text = "; ".join(said)
    if holds is None:
        return f"No data: {text}."
    return f"{text}. {waits[:1].upper()}{waits[1:]}." if waits else f"{text}."
