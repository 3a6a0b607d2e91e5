"""What is wrong with a policy file, with the line and the field of each."""

from __future__ import annotations

from dataclasses import dataclass

from server.kernel.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault. `line` counts from 1; `field` is a path such as `spec.objectives[0].target`, or empty."""

    line: int
    field: str
    reason: str


class PolicyError(ConfigurationError):
    """A policy that cannot be used. The text has one line a problem: `slo.yaml:14: field: reason`."""

    def __init__(self, problems: list[Problem], file: str = "slo.yaml") -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line)
        self.file = file
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """One line of text a problem."""
        return [": ".join(part for part in (f"{self.file}:{p.line}", p.field, p.reason) if part) for p in self.problems]
