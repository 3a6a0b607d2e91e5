"""The policy file: OpenSLO v1 documents in, objectives out; every fault with its line and field.

The form is described for people in docs/slo.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from server.slo import openslo
from server.slo.marked_yaml import Document, read_documents, shown
from server.slo.measures import Fault, count, days, target
from server.slo.objective import Kind, Objective, Policy
from server.slo.problems import PolicyError, Problem

MAX_THRESHOLDS = 10  # a service: each costs ingest a comparison an outcome
MAX_OBJECTIVES = 1000


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


def too_many(policy: Policy) -> Iterator[Problem]:
    """The bounds that keep ingest and evaluation cheap."""
    if len(policy.objectives) > MAX_OBJECTIVES:
        yield Problem(1, "", f"more than {MAX_OBJECTIVES} objectives")
    for service, thresholds in policy.thresholds_us().items():
        if len(thresholds) > MAX_THRESHOLDS:
            yield Problem(1, "", f"{service} has more than {MAX_THRESHOLDS} different latency thresholds")
