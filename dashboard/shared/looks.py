"""How a state looks: a shape and a word; colour only repeats them (UI.md, Visual language)."""

from __future__ import annotations

from msgspec import Struct

from server.slo.model.status import State


class Look(Struct, frozen=True):
    """The look of one state. `rank` orders services, worst first; `mark` is the shape as text, for titles."""

    state: State
    word: str
    mark: str
    rank: int


LOOKS: dict[State, Look] = {
    look.state: look
    for look in (
        Look("burning", "Burning", "■", 0),
        Look("blind", "Blind", "◆", 1),
        Look("partial", "Partial", "◆", 2),
        Look("at_risk", "At risk", "▲", 3),
        Look("ok", "OK", "●", 4),
        Look("no_traffic", "No traffic", "○", 5),
        Look("no_objective", "No objective", "◌", 6),
    )
}
BAD: tuple[State, ...] = ("burning", "blind", "partial", "at_risk")  # what a commander is told of, worst first
