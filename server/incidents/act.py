"""What an act in an incident is, and what all of them share."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct, StructMeta

from server.changes.target import DeployFacts
from server.config.lever import LeverDone
from server.incidents.proof import Proof
from server.incidents.room import IncidentRoom
from server.incidents.runbook import Runbook
from server.kernel.errors import ApiError, invalid

TEXT_MAX = 4000
FAR_S = 10 * 365 * 86_400.0  # years: what lies further off is a slip
Text = Annotated[str, Meta(min_length=1, max_length=TEXT_MAX)]
ShortText = Annotated[str, Meta(min_length=1, max_length=200)]
Reason = Annotated[str, Meta(max_length=500)]
# Of the characters of an address (RFC 3986), so that nothing in it is markup, a line break or invisible.
Link = Annotated[str, Meta(max_length=500, pattern=r"^(https?://[A-Za-z0-9\-._~:/?#@!$&'()*+,;=%\[\]]+)?$")]
Minutes = Annotated[int, Meta(ge=1, le=1440)]
Severity = Annotated[int, Meta(ge=1, le=3)]
Number = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class Press(Struct):
    """Who acts, in which request, and under which key; what one sends twice under one key was meant once."""

    by: str
    request_id: str
    given_key: str | None = None

    @property
    def key(self) -> str | None:
        """The key among everybody's; what was asked under it follows."""
        return f"{len(self.by)}/{self.by}/{self.given_key}/" if self.given_key else None


class Outside(LeverDone):
    """What an act has done outside the incident, in its own transaction: on the settings, or where `alerts` is true on
    its alerts. `undoes`: it took back what an act of the incident had done."""

    alerts: bool = False
    undoes: bool = False


class Moment(Struct):
    """Who acts, when (Unix seconds), what live data says of the end of the failure, which steps there are, of an act
    on deploys, what is known of them, and of one that reaches outside, what came of it."""

    by: str
    now: float
    proof: Proof
    runbook: Runbook = Runbook()
    deploys: DeployFacts | None = None
    outside: Outside | None = None
    asks_p0: bool = False  # it spent so much of a budget that the policy asks for an action of the highest priority


class AbstractStruct(StructMeta, ABCMeta):
    """The metaclass of a Struct whose kinds must say what they do."""


class IncidentAct(Struct, metaclass=AbstractStruct, tag_field="act", forbid_unknown_fields=True):
    """One act. `apply` changes the room and answers in words what was done; ApiError where it cannot be done."""

    @abstractmethod
    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        """Do it."""


def within(at: datetime, field: str, now: float, *, ahead_s: float) -> float:
    """A time in Unix seconds, at most ten years back and so far ahead of `now`; ApiError INVALID."""
    try:
        seconds = at.timestamp()
    except (ValueError, OverflowError):
        raise invalid(field, "is no time that can be kept") from None
    if seconds > now + ahead_s:
        raise invalid(field, "lies more than ten years ahead" if ahead_s else "lies ahead")
    if seconds < now - FAR_S:
        raise invalid(field, "lies more than ten years back")
    return seconds


def checked_link(link: str) -> str:
    """An address without the line break that a pattern's end lets through; ApiError INVALID."""
    if not link.isprintable():
        raise invalid("link", "has characters that cannot be shown")
    return link


def conflict(incident_id: int, why: str) -> ApiError:
    """409: it cannot be done as it stands."""
    return ApiError("CONFLICT", f"Incident {incident_id} {why}. Nothing was done.")


def checked_text(text: str, field: str = "text") -> str:
    """A text of several lines; ApiError INVALID where it has characters that cannot be shown."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    if not all(line.replace("\t", " ").isprintable() for line in lines):
        raise invalid(field, "has characters that cannot be shown")
    return "\n".join(lines)


def written(text: str, field: str = "text") -> str:
    """The same, where something has to be said."""
    return required(checked_text(text, field), field)


def one_line(text: str, field: str, most: int = TEXT_MAX) -> str:
    """A name or a title: one line that says something, at most so long; ApiError INVALID."""
    line = required(" ".join(text.split()), field)
    if len(line) > most:
        raise invalid(field, f"is {len(line)} characters long; {most} at most")
    if not line.isprintable():
        raise invalid(field, "has characters that cannot be shown")
    return line


def required(text: str, field: str) -> str:
    """A text; ApiError INVALID where it is empty."""
    if not text:
        raise invalid(field, "say something")
    return text
