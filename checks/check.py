"""What a check is, what it may use, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from server.kernel.db import Database
from server.kernel.settings import Environment
from server.selfcheck.findings import Finding

ROOT = Path(__file__).resolve().parents[1]

DAY_S = 86_400.0

# What a check cannot do without: the source tree, the policy file, the database, or a server that answers.
Needs = Literal["repository", "policy", "database", "server"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a check may use. `db` is None where no database is at hand, `base_url` where no server is.

    `lasting`: the checks run again and again in this process.
    """

    root: Path
    env: Environment | None = None
    db: Database | None = None
    base_url: str | None = None
    lasting: bool = False

    @property
    def database(self) -> Database:
        """The database of a check that needs one."""
        if self.db is None:
            raise Unavailable("The database does not answer.", "Set DATABASE_URL, or start the server: make run")
        return self.db


Run = Callable[[Surroundings], Awaitable[list[Finding]]]


@dataclass(frozen=True, slots=True)
class Check:
    """One check. It is stopped after `limit_s` seconds; in the service it runs each `every_s`."""

    name: str
    summary: str
    needs: Needs
    run: Run
    every_s: float
    limit_s: float


class Unavailable(Exception):
    """Something that a check cannot do without is missing: what, and what to do."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


def text_of(path: Path) -> str:
    """A file of the source tree; Unavailable where it is missing."""
    try:
        return path.read_text()
    except FileNotFoundError:
        hint = "Restore it; where only the package is installed, run this check in the source tree."
        raise Unavailable(f"{path.name} is missing.", hint) from None


def fail(what: str, hint: str, where: str = "") -> Finding:
    """Something is wrong now."""
    return Finding("fail", what, hint, where)


def note(what: str, hint: str, where: str = "") -> Finding:
    """Nothing is wrong, but this should be known."""
    return Finding("note", what, hint, where)


def warn(what: str, hint: str, where: str = "") -> Finding:
    """Something will be wrong if nothing is done."""
    return Finding("warn", what, hint, where)
