"""How each service stands, from the picture."""

from __future__ import annotations

import msgspec

from dashboard.looks import LOOKS, Look
from server.live.picture import Picture, ServicePicture
from server.slo.status import State, Status


def status_of(picture: Picture | None) -> Status | None:
    """The objectives in the picture; None before the first evaluation."""
    return msgspec.json.decode(picture.slo, type=Status | None) if picture else None


def state_of(service: ServicePicture, status: Status | None) -> State:
    """The state that the watch gave, or without objectives what the picture alone says."""
    if status is not None and service.name in status.services:
        return status.services[service.name]
    if service.silent_s is not None:
        return "blind"
    return "partial" if service.partial else "no_objective"


def worst(picture: Picture | None) -> Look | None:
    """The worst state of any service; None: nothing is known."""
    if picture is None:
        return None
    status = status_of(picture)
    looks = [LOOKS[state_of(service, status)] for service in picture.services]
    return min(looks, key=lambda look: look.rank, default=None)
