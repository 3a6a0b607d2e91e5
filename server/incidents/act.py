"""What an act in an incident is, and what all of them share."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from server.changes.target import DeployFacts
from server.incidents.proof import Proof
from server.incidents.room import IncidentRoom
from server.incidents.runbook import Runbook
from server.kernel.errors import ApiError, invalid

TEXT_MAX = 4000
Text = Annotated[str, Meta(min_length=1, max_length=TEXT_MAX)]
ShortText = Annotated[str, Meta(min_length=1, max_length=200)]
Reason = Annotated[str, Meta(max_length=500)]
Link = Annotated[str, Meta(max_length=500, pattern=r"^(https?://\S+)?$")]
Minutes = Annotated[int, Meta(ge=1, le=1440)]
Severity = Annotated[int, Meta(ge=1, le=3)]
Number = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class Moment(Struct):
    """Who acts, when (Unix seconds), what live data says of the end of the failure, which steps there are, and, of an
    act on deploys, what is known of them."""

    by: str
    now: float
    proof: Proof
    runbook: Runbook = Runbook()
    deploys: DeployFacts | None = None


class IncidentAct(Struct, tag_field="act", forbid_unknown_fields=True):
    """One act. `apply` changes the room and answers in words what was done; ApiError where it cannot be done."""

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        """Do it."""
        raise NotImplementedError


def conflict(room: IncidentRoom, why: str) -> ApiError:
    """409: it cannot be done as it stands."""
    return ApiError("CONFLICT", f"Incident {room.incident.id} {why}. Nothing was done.")


def checked_text(text: str, field: str = "text") -> str:
    """A text of several lines; ApiError INVALID where it has characters that cannot be shown."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    if not all(line.replace("\t", " ").isprintable() for line in lines):
        raise invalid(field, "has characters that cannot be shown")
    return "\n".join(lines)
