"""The policy file: OpenSLO v1 documents in, objectives out; every fault with its line and field.

The form is described for people in docs/slo.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction

import msgspec

from server.slo import openslo
from server.slo.marked_yaml import Document, read_documents, shown
from server.slo.objective import Kind, Objective, Policy
from server.slo.problems import PolicyError, Problem

MIN_DAYS, MAX_DAYS = 1, 90
MAX_THRESHOLD_MS = 600_000
MAX_THRESHOLDS = 10  # a service: each costs ingest a comparison an outcome
MAX_OBJECTIVES = 1000

FORMS = (
    "count it in one of these ways: good {count: good} of total {count: all}; bad {count: bad} of total {count: all}; "
    "or good {count: good, at_most_ms: N} of total {count: good}"
)


class Fault(Exception):
    """A problem in one document, by its path."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


def parse(source: str, file: str = "slo.yaml") -> Policy:
    """The policy in the text of a file; PolicyError lists what is wrong with it."""
    try:
        return Reading(read_documents(source)).policy()
    except PolicyError as error:
        raise PolicyError(error.problems, file) from None


class Reading:
    """One reading of a file: its documents by kind, and the problems found so far."""

    def __init__(self, documents: list[Document]) -> None:
        self.problems: list[Problem] = []
        self.services: dict[str, Document] = {}
        self.indicators: dict[str, openslo.IndicatorSpec] = {}
        self.objectives: dict[str, tuple[Document, openslo.SLO]] = {}
        for document in documents:
            with self.noting(document):
                self.sort(document)

    def policy(self) -> Policy:
        """The policy, once everything has been read; PolicyError with all problems."""
        found: list[Objective] = []
        for document, slo in self.objectives.values():
            with self.noting(document):
                found.append(self.objective(slo))
        policy = Policy(tuple(found), tuple(self.services))
        self.problems += too_many(policy)
        if self.problems:
            raise PolicyError(self.problems)
        return policy

    @contextmanager
    def noting(self, document: Document) -> Iterator[None]:
        """A fault inside becomes a problem of the document, and the reading goes on."""
        try:
            yield
        except Fault as fault:
            self.problems.append(Problem(document.line(fault.path), shown(fault.path), fault.reason))

    def sort(self, document: Document) -> None:
        """Type a document and file it under its kind and name."""
        typed = convert(document)
        kind = type(typed).__name__
        known = {"Service": set(self.services), "SLI": set(self.indicators), "SLO": set(self.objectives)}
        if typed.metadata.name in known[kind]:
            raise Fault("$.metadata.name", f"there is another {kind} of the name {typed.metadata.name}")
        if isinstance(typed, openslo.Service):
            self.services[typed.metadata.name] = document
        elif isinstance(typed, openslo.SLI):
            count(typed.spec.ratio_metric, "$.spec")
            self.indicators[typed.metadata.name] = typed.spec
        else:
            self.objectives[typed.metadata.name] = (document, typed)

    def objective(self, slo: openslo.SLO) -> Objective:
        """What an SLO document asks for."""
        if slo.spec.service not in self.services:
            raise Fault("$.spec.service", f"there is no Service document of the name {slo.spec.service}")
        kind, threshold_us = self.counted(slo.spec)
        return Objective(
            name=slo.metadata.name,
            title=slo.metadata.display_name or slo.metadata.name,
            service=slo.spec.service,
            kind=kind,
            target=target(slo.spec.objectives[0]),
            threshold_us=threshold_us,
            window_days=days(slo.spec.time_window[0].duration),
        )

    def counted(self, spec: openslo.ObjectiveSpec) -> tuple[Kind, int | None]:
        """The indicator's kind and threshold, from where it stands."""
        if (spec.indicator is None) == (spec.indicator_ref is None):
            raise Fault("$.spec", "give one of indicator and indicatorRef")
        if spec.indicator is not None:
            return count(spec.indicator.spec.ratio_metric, "$.spec.indicator.spec")
        indicator = self.indicators.get(spec.indicator_ref or "")
        if indicator is None:
            raise Fault("$.spec.indicatorRef", f"there is no SLI document of the name {spec.indicator_ref}")
        return count(indicator.ratio_metric, "$.spec")


def convert(document: Document) -> openslo.Service | openslo.SLI | openslo.SLO:
    """A document as its type; Fault with msgspec's path."""
    try:
        return msgspec.convert(document.value, openslo.Service | openslo.SLI | openslo.SLO)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `")
        raise named(path.rstrip("`") or "$", reason) from None


def named(path: str, reason: str) -> Fault:
    """A fault whose path ends in the field that msgspec names in its text."""
    unknown = re.fullmatch(r"Object contains unknown field `(.+)`", reason)
    if unknown:
        return Fault(f"{path}.{unknown[1]}", openslo.hint(unknown[1]))
    missing = re.fullmatch(r"Object missing required field `(.+)`", reason)
    if missing:
        return Fault(f"{path}.{missing[1]}", "is missing")
    if "matching regex" in reason:
        return Fault(path, "give up to 63 lower-case letters, digits, - and .")
    return Fault(path, reason[:1].lower() + reason[1:])


def count(metric: openslo.RatioMetric, at: str) -> tuple[Kind, int | None]:
    """Availability or latency, from what is counted as good or bad of which total."""
    path = f"{at}.ratioMetric"
    if (metric.good is None) == (metric.bad is None):
        raise Fault(path, "give one of good and bad")
    total = metric.total.metric_source.spec
    part = metric.good or metric.bad
    assert part is not None, "one of the two was given"
    chosen = part.metric_source.spec
    side = "good" if metric.good else "bad"
    pair = (side, chosen.count, total.count)
    if total.at_most_ms is None and chosen.at_most_ms is None and pair in AVAILABILITY:
        return "availability", None
    if total.at_most_ms is None and chosen.at_most_ms is not None and pair == ("good", "good", "good"):
        return "latency", microseconds(chosen.at_most_ms, f"{path}.good.metricSource.spec.at_most_ms")
    raise Fault(f"{path}.{side}", FORMS)


AVAILABILITY = (("good", "good", "all"), ("bad", "bad", "all"))


def microseconds(milliseconds: Decimal, path: str) -> int:
    """A threshold in whole microseconds."""
    if not milliseconds.is_finite() or not 0 < milliseconds <= MAX_THRESHOLD_MS or milliseconds * 1000 % 1:
        raise Fault(path, f"give milliseconds above 0 and up to {MAX_THRESHOLD_MS}, with 3 decimals at most")
    return int(milliseconds * 1000)


def target(given: openslo.Target) -> Fraction:
    """The target as an exact share; one that can neither be met nor missed is refused."""
    path = "$.spec.objectives[0]"
    if (given.target is None) == (given.target_percent is None):
        raise Fault(path, "give one of target and targetPercent")
    if given.target is not None:
        return share(given.target, Decimal(1), f"{path}.target")
    assert given.target_percent is not None, "one of the two was given"
    return share(given.target_percent, Decimal(100), f"{path}.targetPercent")


def share(value: Decimal, whole: Decimal, path: str) -> Fraction:
    if not value.is_finite() or not 0 < value < whole:
        raise Fault(path, f"is {value}; give a number above 0 and below {whole}: one that can be met and missed")
    exact = Fraction(value) / Fraction(whole)
    if exact.denominator > 10**9:
        raise Fault(path, "give 7 decimals at most")
    return exact


def days(duration: str) -> int:
    """A rolling window in whole days, from `28d` or `4w`."""
    path = "$.spec.timeWindow[0].duration"
    match = re.fullmatch(r"([1-9][0-9]{0,3})([dw])", duration, re.ASCII)
    found = int(match[1]) * (7 if match[2] == "w" else 1) if match else 0
    if not MIN_DAYS <= found <= MAX_DAYS:
        raise Fault(path, f"is {duration!r}; give days or weeks, such as 28d or 4w, from {MIN_DAYS}d to {MAX_DAYS}d")
    return found


def too_many(policy: Policy) -> Iterator[Problem]:
    """The bounds that keep ingest and evaluation cheap."""
    if len(policy.objectives) > MAX_OBJECTIVES:
        yield Problem(1, "", f"more than {MAX_OBJECTIVES} objectives")
    for service, thresholds in policy.thresholds_us().items():
        if len(thresholds) > MAX_THRESHOLDS:
            yield Problem(1, "", f"{service} has more than {MAX_THRESHOLDS} different latency thresholds")
