"""What a self-check finds. The checks themselves are in checks/, which `server` does not know."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from server.kernel.redaction import redact
from server.kernel.times import Instant

Level = Literal["fail", "warn", "note"]
CheckStatus = Literal["pass", "warn", "fail"]


class Finding(Struct):
    """One thing that is wrong: what, where (a file and line, a process, an address) and what to do.

    `note`: nothing is wrong, and the check passes, but somebody should know.
    """

    level: Level
    what: str
    hint: str
    where: str = ""

    def __post_init__(self) -> None:
        self.what, self.hint = redact(self.what, named=False), redact(self.hint, named=False)


class CheckResult(Struct):
    """One run of one check. `at` is when it ended.

    `version`: of a check of Evenkeel's own files, the version whose they were; None: a check of what runs.
    """

    name: str
    status: CheckStatus
    at: Instant
    duration_ms: float
    findings: list[Finding]
    version: str | None = None


def status_of(findings: list[Finding]) -> CheckStatus:
    """The worst level among the findings; `pass` where there are none."""
    levels = {finding.level for finding in findings}
    return "fail" if "fail" in levels else "warn" if "warn" in levels else "pass"
