"""How a state looks: a shape and a word; colour only repeats them (UI.md, Visual language)."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from server.slo.model.status import State
from server.slo.model.words import STATE_WORDS

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
        Look("burning", STATE_WORDS["burning"], "■", 0),
        Look("blind", STATE_WORDS["blind"], "◆", 1),
        Look("partial", STATE_WORDS["partial"], "◆", 2),
        Look("recovering", STATE_WORDS["recovering"], "◧", 3),
        Look("at_risk", STATE_WORDS["at_risk"], "▲", 4),
        Look("ok", STATE_WORDS["ok"], "●", 5),
        Look("no_traffic", STATE_WORDS["no_traffic"], "○", 6),
        Look("no_objective", STATE_WORDS["no_objective"], "◌", 7),
    )
}
# What a commander is told of, worst first.
BAD: tuple[PageState, ...] = ("burning", "blind", "partial", "recovering", "at_risk")
