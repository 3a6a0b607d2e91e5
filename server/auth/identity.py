"""Who calls, a key or a signed-in person, and what they may do: roles of people, scopes of keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from server.kernel.errors import invalid

SCOPES: tuple[str, ...] = ("ingest", "read", "act", "admin")

ROLES: dict[str, frozenset[str]] = {
    "viewer": frozenset({"read"}),
    "responder": frozenset({"read", "act"}),
    "commander": frozenset({"read", "act"}),
    "admin": frozenset({"read", "act", "admin"}),
}


@dataclass(frozen=True, slots=True)
class Identity:
    """A key or a person whose credentials were found good."""

    kind: Literal["key", "person"]
    id: int  # of the key or of the user
    name: str  # the key's name, or the e-mail address
    scopes: frozenset[str]
    role: str = ""  # people only
    session_id: int = 0  # people only
    proved_at: float = 0.0  # people only: when the password was last given in this session, Unix seconds
    services: frozenset[str] = frozenset()  # keys only: those that it may send and act for; empty: every
    sampled: float = 1.0  # keys only: the share of its requests whose spans its sender sends, as was stated

    @property
    def key_id(self) -> int:
        """The key's id; 0 for people."""
        return self.id if self.kind == "key" else 0

    def may_touch(self, service: str) -> bool:
        """Whether it may send outcomes of a service, or act for it; in every environment of it, as shop@staging."""
        return not self.services or service in self.services or service.rpartition("@")[0] in self.services

    @property
    def actor(self) -> str:
        """The name under which acts are audited."""
        return f"key:{self.name}" if self.kind == "key" else self.name


def bound_to(identity: Identity) -> str:
    """The services that a key is bound to, for people."""
    return ", ".join(sorted(identity.services))


def scopes_of(role: str) -> frozenset[str]:
    """What a role may do; a role of a newer version that we do not know may do nothing."""
    return ROLES.get(role, frozenset())


def checked_role(role: str) -> str:
    """The role, or ApiError INVALID naming those that exist."""
    if role not in ROLES:
        raise invalid("role", f"is {role[:40]!r}; give one of {', '.join(ROLES)}")
    return role


def checked_scopes(scopes: list[str]) -> list[str]:
    """The scopes, each once and in the order of SCOPES, or ApiError INVALID."""
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        sent = ", ".join(scope[:40] for scope in unknown) or "empty"
        raise invalid("scopes", f"is {sent}; give one or more of {', '.join(SCOPES)}")
    return [scope for scope in SCOPES if scope in scopes]
