"""Roles of people and scopes of keys: who may do what."""

from __future__ import annotations

from server.kernel.errors import invalid

SCOPES: tuple[str, ...] = ("ingest", "read", "act", "admin")

ROLES: dict[str, frozenset[str]] = {
    "viewer": frozenset({"read"}),
    "responder": frozenset({"read", "act"}),
    "commander": frozenset({"read", "act"}),
    "admin": frozenset({"read", "act", "admin"}),
}


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
