"""How a state looks: a shape and a word; colour only repeats them (UI.md, Visual language)."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from server.slo.model.status import State

# What an evaluation says, and what the open alerts say besides: what burnt is over by all that is seen, and not sure.
PageState = State | Literal["recovering"]


class Look(Struct, frozen=True):
    """The look of one state. `rank` orders services, worst first; `mark` is the shape as text, for titles."""

    state: PageState
    word: str
    mark: str
    rank: int


LOOKS: dict[PageState, Look] = {
    look.state: look
    for look in (
        Look("burning", "Burning", "■", 0),
        Look("blind", "Blind", "◆", 1),
        Look("partial", "Partial", "◆", 2),
        Look("recovering", "Recovering", "◧", 3),
        Look("at_risk", "At risk", "▲", 4),
        Look("ok", "OK", "●", 5),
        Look("no_traffic", "No traffic", "○", 6),
        Look("no_objective", "No objective", "◌", 7),
    )
}
# What a commander is told of, worst first.
BAD: tuple[PageState, ...] = ("burning", "blind", "partial", "recovering", "at_risk")
