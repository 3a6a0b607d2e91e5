"""Whether the outcomes of a service all arrive, and how many did not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from server.picture.picture import ServicePicture
from server.slo.model.status import State


@dataclass(frozen=True, slots=True)
class Senders:
    """`state` is blind, partial or None; `unseen` outcomes happened, or should have, and were not counted."""

    state: State | None = None
    unseen: int = 0


ALL_ARRIVES = Senders()


def senders_of(services: Iterable[ServicePicture], refused: Mapping[str, int]) -> dict[str, Senders]:
    """By service; `refused` are items that a limit refused lately."""
    return {service.name: senders(service, refused.get(service.name, 0)) for service in services}


def senders(service: ServicePicture, refused: int) -> Senders:
    """Partial outranks blind: a sender that is refused still sends. Silence is counted at the usual rate."""
    if service.partial:
        return Senders("partial", max(refused, service.refused_items))
    silent = math.ceil((service.silent_s or 0) * (service.usual_per_second or 0.0))
    if service.silent_s is not None:
        return Senders("blind", silent + refused)
    return ALL_ARRIVES
