"""What became of what fails after a change, against what was before it on the same routes."""

from __future__ import annotations

from msgspec import Struct

from server.kernel.text import percent
from server.slo.model.comparison import Finding

NEVER = 1e-9  # no chance is told as 0 %
WORDS: dict[Finding, str] = {
    "worse": "fails more",
    "better": "fails less",
    "no_difference": "no difference seen",
    "too_few": "too few to tell",
}


class ChangeVerdict(Struct):
    """Counts of the routes that both served. `other` is the version that a deploy is compared with, empty where the
    time before is; `beside`: both versions ran, and the same minutes are compared.

    `p` is the chance of a difference as large, to that side, where there is none.
    """

    other: str
    beside: bool
    finding: Finding
    bad: int
    n: int
    other_bad: int
    other_n: int
    p: float
    text: str  # 12 of 458 fail since, 1 of 1,830 before

    @property
    def sure(self) -> str:
        """`fails more: by chance in 0.002 %`, `no difference seen`."""
        words = WORDS[self.finding]
        if self.finding not in ("worse", "better"):
            return words
        return f"{words}: by chance in {percent(max(self.p, NEVER))} of cases"
