"""What a kind of deploy target does. Each kind is one file here; nothing outside asks which one a target is of."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from dataclasses import dataclass
from http.client import responses

from server.changes.target import DeployActName, DeployOrder, DeployTarget
from server.kernel.errors import invalid
from server.kernel.outside import Reply


class Refused(Exception):
    """It answers that it will not; the text says why, and trying again would not help."""


class NotNow(Exception):
    """It could not, or did not answer; trying again may help."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a target is reached: its secret in the open, and whether addresses within the network are allowed."""

    target: DeployTarget
    secret: str
    private: bool


class Adapter(ABC):
    """One kind."""

    name: str  # in the API and the database
    title: str  # for people
    hint: str  # what its address and its secret are
    can: frozenset[DeployActName]

    @abstractmethod
    def checked_address(self, address: str, *, private: bool) -> str:
        """The address, or ApiError INVALID."""

    def checked_secret(self, secret: str) -> str:
        """The secret that was given, or ApiError INVALID."""
        if not secret:
            raise invalid("secret", "is needed")
        return secret

    def new_secret(self) -> str:
        """A secret for a target that was given none; empty where it has to be given."""
        return ""

    def shown_address(self, address: str) -> str:
        """What may be shown of an address."""
        return address

    def command(self, address: str, order: DeployOrder) -> str:
        """What a person types to roll back without it."""
        return by_hand(order.version, order.rolls_back)

    @abstractmethod
    async def carry_out(self, way: Way, order: DeployOrder, now: float) -> str:
        """Do it once, however often it is called with the same key, and say what came of it. Raises Refused, NotNow."""

    @abstractmethod
    async def probe(self, way: Way, now: float) -> str:
        """What would be in the way of doing it, changing nothing; empty where nothing would. Raises Refused, NotNow."""


def by_hand(version: str, rolls_back: str) -> str:
    """What a person types where nothing else is known: it only adds to what others share, and deploys as usual."""
    return f"git revert --no-edit {shlex.quote(f'{version}..{rolls_back}')} && git push"


def judged(reply: Reply, what: str) -> Reply:
    """The answer where it is a success. Raises Refused for what another try will not mend, else NotNow."""
    if 200 <= reply.status < 300:
        return reply
    said = f"{what} answers HTTP {reply.status} {responses.get(reply.status, '')}".rstrip()
    if reply.status in (408, 425, 429) or reply.status >= 500:
        raise NotNow(said)
    raise Refused(said)
