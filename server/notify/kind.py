"""What a kind of target says of itself.

Each kind is one file in kinds/; nothing outside that folder asks which one a target is of.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from server.alerts.alert import Alert
from server.kernel.errors import invalid
from server.kernel.urls import checked_url, shown_url
from server.notify.message import Event, IncidentFacts, MaintenanceFacts
from server.notify.target import Target

if TYPE_CHECKING:
    from server.kernel.settings import Environment

SECRET = re.compile(r"[!-~]{16,255}")  # printable ASCII without blanks


class Thread(Struct):
    """The first message of a firing, an incident or a window to a target: what comes after it stands beneath it."""

    key: str
    alert: Alert | None = None  # as it was told
    incident: IncidentFacts | None = None
    maintenance: MaintenanceFacts | None = None


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is to be told, to whom. `key` is the same at every try; neither `alert`, `incident` nor `maintenance`: a
    test; `thread` None: its first."""

    target: Target
    key: str
    event: Event
    text: str
    alert: Alert | None = None
    thread: Thread | None = None
    incident: IncidentFacts | None = None
    maintenance: MaintenanceFacts | None = None


class Post(NamedTuple):
    """JSON to be posted to the target's address; the headers are beside those of every request."""

    body: bytes
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed


class Letter(NamedTuple):
    """An e-mail to the target's address, through the operator's mail server; `answers` is the key of the first of its
    thread."""

    subject: str
    text: str
    answers: str = ""


class Kind(ABC):
    """One kind of target. As it stands here: a URL without a secret, which is told of everything."""

    name: str  # in the API and the database
    title: str  # for people
    place: int  # among the kinds on Setup, where the first is chosen
    hint: str  # on Setup: what its address and its secret are
    takes_secret = False  # whether it may be given one
    takes_tickets = True  # else it hears only of what has to wake somebody
    takes_updates = True  # else it hears of the beginning, the acknowledgement and the end
    takes_incidents = True  # and of maintenance; else it hears of alerts only
    takes_drills = True  # else a drill tells it nothing
    inbound = ""  # on Setup: what to do there so that its acknowledgements come back; empty: they do not

    def unavailable(self, env: Environment) -> str:
        """What is missing before one can be added here, as `needs …`; empty where nothing is."""
        return ""

    def checked_address(self, address: str, *, private: bool) -> str:
        """The address, or ApiError INVALID. `private`: addresses within the network, and http, are allowed."""
        return checked_url(address, private=private)

    def shown_address(self, address: str) -> str:
        """What may be shown of an address."""
        return shown_url(address)

    def checked_secret(self, secret: str) -> str:
        """The secret that was given, empty where none was, or ApiError INVALID."""
        if secret:
            raise invalid("secret", f"{self.name} takes none; leave it out")
        return secret

    def new_secret(self) -> str:
        """A secret for a target that was given none; empty where it needs none."""
        return ""

    def checked_inbound_secret(self, secret: str) -> str:
        """What its acknowledgements are signed with, or ApiError INVALID."""
        raise invalid("inbound_secret", f"a target of the kind {self.name} has none")

    @abstractmethod
    def messages(self, parcel: Parcel, public_url: str, now: float) -> Sequence[Post | Letter]:
        """What is sent for a parcel, one after the other, at a Unix time in seconds."""
