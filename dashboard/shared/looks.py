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


MARKS: dict[PageState, str] = {  # worst first
    "burning": "■",
    "blind": "◆",
    "partial": "◆",
    "recovering": "◧",
    "at_risk": "▲",
    "ok": "●",
    "no_traffic": "○",
    "no_objective": "◌",
}
LOOKS: dict[PageState, Look] = {
    state: Look(state, STATE_WORDS[state], mark, rank) for rank, (state, mark) in enumerate(MARKS.items())
}
# What a commander is told of, worst first.
BAD: tuple[PageState, ...] = ("burning", "blind", "partial", "recovering", "at_risk")
