"""How each service stands, from the picture."""

from __future__ import annotations

import msgspec

from dashboard.looks import BAD, LOOKS, Look
from server.live.picture import Picture, ServicePicture
from server.slo.status import State, Status


def status_of(picture: Picture | None) -> Status | None:
    """The objectives in the picture; None before the first evaluation."""
    return msgspec.json.decode(picture.slo, type=Status | None) if picture else None


def state_of(service: ServicePicture, status: Status | None) -> State:
    """The state that the watch gave, or without objectives what the picture alone says."""
    if status is not None and service.name in status.services:
        return status.services[service.name]
    if service.partial:
        return "partial"
    return "blind" if service.silent_s is not None else "no_objective"


def rank(state: State, held: bool) -> float:
    """What orders services, worst first: trouble of one that is held to nothing comes after all others' trouble."""
    return LOOKS[state].rank if held or state not in BAD else LOOKS["at_risk"].rank + 0.5


def worst(picture: Picture | None) -> Look | None:
    """The worst state of any service; None: nothing is known."""
    if picture is None:
        return None
    status = status_of(picture)
    held = {objective.service for objective in status.objectives} if status else set[str]()
    states = [(state_of(service, status), service.name in held) for service in picture.services]
    state, _ = min(states, key=lambda each: rank(*each), default=(None, False))
    return LOOKS[state] if state else None
