"""GET /incidents/{id}: the room, and beside it an act that its address proposes."""

from __future__ import annotations

import secrets

from msgspec import Struct

from dashboard.incidents.room import PATIENCE_S, RECORDS, ROOM
from dashboard.shared.page import Page
from server.incidents.tools import PRESSES
from server.kernel.ids import number_in

WHY_MAX = 500  # characters of a proposal's reason


class Proposed(Struct):
    """An act that the address of the page proposes, what is pressed for it, and why."""

    act: str
    press: str
    why: str


class RoomBeside(Struct):
    """What is not live: the key of the forms, and what is proposed."""

    key: str
    proposed: Proposed | None


class RoomPage(Page):
    """GET /incidents/{id}. Each form carries a key of its own: what is sent twice was meant once."""

    async def get(self, id: str) -> None:
        await RECORDS.first(self.parts, number_in(id) or 0, PATIENCE_S)
        act, why = self.get_query_argument("propose", ""), self.get_query_argument("why", "")
        proposed = Proposed(act, PRESSES[act], why[:WHY_MAX]) if act in PRESSES else None
        await self.show_live(ROOM, beside=RoomBeside(secrets.token_urlsafe(9), proposed), id=id)
