"""The runbook: the steps of an incident, from the text of runbook.yaml; every fault with its line and field.

The form is described for people in docs/incidents.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from server.incidents.verification import Verification, parse_verification
from server.slo.model.objective import Kind, PolicyError, Problem
from server.slo.policy.documents import Document, faults, read_documents, shown

FILE = "runbook.yaml"
STEPS_MAX = 100

Phase = Literal["triage", "stabilise", "diagnose", "recover", "post_incident"]
PHASES: dict[Phase, str] = {
    "triage": "Triage",
    "stabilise": "Stabilise",
    "diagnose": "Diagnose",
    "recover": "Recover",
    "post_incident": "Post-incident",
}
StepAct = Literal[
    "pause_deploys",
    "roll_back_deploy",
    "roll_back_config",
    "lower_batch_items",
    "lower_body_bytes",
    "throttle",
    "rollups_only",
    "acknowledge",
    "silence",
]
StepId = Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")]


class When(Struct, frozen=True, forbid_unknown_fields=True):
    """For which incidents a step is; what is left out does not matter."""

    severity: tuple[Annotated[int, Meta(ge=1, le=3)], ...] = ()
    kind: tuple[Kind, ...] = ()
    service: tuple[str, ...] = ()

    def fits(self, severity: int, kinds: Iterable[str], services: Iterable[str]) -> bool:
        """Whether it is for an incident of this severity, these kinds and services; in doubt it is."""
        kinds, services = set(kinds), set(services)
        return (
            (not self.severity or severity in self.severity)
            and (not self.kind or not kinds or bool(kinds & set(self.kind)))
            and (not self.service or not services or bool(services & set(self.service)))
        )


class WrittenStep(Struct, forbid_unknown_fields=True):
    """A step as the file has it."""

    id: StepId
    text: Annotated[str, Meta(min_length=1, max_length=200)]
    acts: list[StepAct] = []
    verify: str | None = None
    when: When = When()


class WrittenRunbook(Struct, forbid_unknown_fields=True, rename={"post_incident": "post-incident"}):
    """The whole file: the steps of each phase, in order."""

    triage: list[WrittenStep] = []
    stabilise: list[WrittenStep] = []
    diagnose: list[WrittenStep] = []
    recover: list[WrittenStep] = []
    post_incident: list[WrittenStep] = []


class Step(Struct, frozen=True):
    """One step. `verification` None: a person says that it is done."""

    id: str
    phase: Phase
    text: str
    acts: tuple[StepAct, ...] = ()
    verification: Verification | None = None
    when: When = When()


class Runbook(Struct, frozen=True):
    """Every step, in order."""

    steps: tuple[Step, ...] = ()

    def for_incident(self, severity: int, kinds: Iterable[str], services: Iterable[str]) -> list[Step]:
        """The steps of an incident of this severity, these kinds and services."""
        kinds, services = list(kinds), list(services)
        return [step for step in self.steps if step.when.fits(severity, kinds, services)]


def parse_runbook(source: str, file: str = FILE) -> Runbook:
    """The runbook in the text of a file; PolicyError lists what is wrong with it."""
    try:
        documents = read_documents(source)
        if len(documents) != 1:
            raise PolicyError([Problem(1, "", f"give one map, with the phases {', '.join(names())}")])
        return read_runbook(documents[0])
    except PolicyError as error:
        raise PolicyError(error.problems, file) from None


def names() -> list[str]:
    """The phases as the file calls them."""
    return [field.encode_name for field in msgspec.structs.fields(WrittenRunbook)]


def read_runbook(document: Document) -> Runbook:
    """The runbook of a document; PolicyError with all that is wrong."""
    wrong = faults(document.value, WrittenRunbook, "$")
    if wrong:
        raise PolicyError([problem(document, each.path, each.reason) for each in wrong])
    written = msgspec.convert(document.value, WrittenRunbook)
    problems: list[Problem] = []
    steps = [step for phase in PHASES for step in of_phase(document, phase, getattr(written, phase), problems)]
    problems += twice(document, steps)
    if not steps and not problems:
        problems.append(Problem(1, "", "has no step"))
    if len(steps) > STEPS_MAX:
        problems.append(Problem(1, "", f"has {len(steps)} steps; {STEPS_MAX} at most"))
    if problems:
        raise PolicyError(problems)
    return Runbook(tuple(step for step, _ in steps))


def of_phase(
    document: Document, phase: Phase, written: Sequence[WrittenStep], problems: list[Problem]
) -> Iterator[tuple[Step, str]]:
    """The steps of a phase, each with its path; what is wrong with a verification goes into `problems`."""
    for index, one in enumerate(written):
        path = f"$.{phase.replace('_', '-')}[{index}]"
        verification: Verification | None = None
        try:
            verification = None if one.verify is None else parse_verification(one.verify)
        except ValueError as error:
            problems.append(problem(document, f"{path}.verify", str(error)))
        if phase == "post_incident" and verification is not None and verification.live:
            problems.append(problem(document, f"{path}.verify", "is watched only while the incident is open"))
        if not one.text.isprintable():
            problems.append(problem(document, f"{path}.text", "has characters that cannot be shown; give one line"))
        yield Step(one.id, phase, one.text, tuple(one.acts), verification, one.when), path


def twice(document: Document, steps: Iterable[tuple[Step, str]]) -> Iterator[Problem]:
    """The steps whose id another one has."""
    seen: set[str] = set()
    for step, path in steps:
        if step.id in seen:
            yield problem(document, f"{path}.id", f"{step.id} is another step's too; each needs its own")
        seen.add(step.id)


def problem(document: Document, path: str, reason: Any) -> Problem:
    """A fault at its line."""
    return Problem(document.line(path), shown(path), reason)
