"""Where the deploys of a service are paused and rolled back, and what is asked of it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from server.kernel.times import Instant

DeployActName = Literal["pause", "resume", "roll_back"]
WORDS: dict[DeployActName, str] = {"pause": "Pause", "resume": "Resume", "roll_back": "Roll back"}


class DeployTarget(Struct):
    """One service's. `secret` is as it is stored: sealed."""

    id: int
    service: str
    kind: str
    address: str
    secret: str
    created_by: str
    created_at: Instant


class DeployOrder(Struct):
    """What an adapter carries out. `key` is the same at every try; `version` and `rolls_back` of a roll back only."""

    key: str
    act: DeployActName
    service: str
    asked_by: str
    incident: int
    version: str = ""
    rolls_back: str = ""


class DeployFacts(Struct):
    """What is known of a service's deploys: the version that runs, the one before it, whether the migration that came
    with what runs can be undone, and where the deploys are acted on; empty where that is not known."""

    service: str
    running: str = ""
    before: str = ""
    migration: str = "unknown"
    kind: str = ""
    can: frozenset[DeployActName] = frozenset()
    command: str = ""  # what a person types to go back
    paused_by: str = ""

    @property
    def armed_first(self) -> bool:
        """Whether going back needs a second press: data that the older version may not understand."""
        return self.migration not in ("none", "reversible")

    @property
    def warning(self) -> str:
        """What that press says."""
        if not self.armed_first:
            return ""
        if self.migration == "irreversible":
            return f"The migration of {self.running} is irreversible. Roll back code only"
        return f"Nobody has told whether {self.running} migrated a database. Roll back code only"
