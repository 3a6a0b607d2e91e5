"""A figure that was measured, and the limit it is held to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement. `limit` None: reported only."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    bound: Literal["at least", "at most"] = "at most"
    note: str = ""

    @property
    def holds(self) -> bool:
        if self.limit is None:
            return True
        return self.value >= self.limit if self.bound == "at least" else self.value <= self.limit

    def line(self) -> str:
        limit = "" if self.limit is None else f"{self.bound} {self.limit:g}"
        verdict = "" if self.limit is None else ("holds" if self.holds else "MISSED")
        return f"{self.name:<58} {self.value:>12.4g} {self.unit:<8} {limit:<16} {verdict:<7} {self.note}".rstrip()
