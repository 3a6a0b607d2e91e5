"""Acts on the settings from the pages: roll back, extend. Each is one press, and goes back to where it was pressed."""

from __future__ import annotations

import re
from typing import get_args

from dashboard.local import local_address
from dashboard.page import Page
from server.config import service
from server.config.rollout_acts import RolloutAct, act_on
from server.errors import ApiError, invalid

WHOLE = re.compile(r"\d{1,11}", re.ASCII)
TOLD = ("CONFLICT", "ROLLBACK_AMBIGUOUS", "GATE_DENIED")  # said where the button was, which shows what is in force now
EXTEND_MINUTES = 30
ACTS: dict[str, RolloutAct] = {act: act for act in get_args(RolloutAct)}


class RollbackAct(Page):
    """POST /config/rollback: `from` is the revision that was seen in force, `to` the one whose values come back."""

    async def post(self) -> None:
        assert self.identity is not None
        from_, to = whole(self, "from"), whole(self, "to")
        after = local_address(self.get_body_argument("next", ""), "/config")
        try:
            saved = await service.rollback(self.parts, self.identity, from_=from_, to=to, request_id=self.request_id)
            self.say(saved.message)
        except ApiError as error:
            told(self, error)
        self.see_other(after)


class RolloutForm(Page):
    """POST /config/rollout: `act` on the staged `revision` that was seen."""

    async def post(self) -> None:
        assert self.identity is not None
        act = ACTS.get(self.get_body_argument("act", ""))
        if act is None:
            raise invalid("act", f"give one of {', '.join(ACTS)}")
        try:
            done = await act_on(self.parts, self.identity, act, whole(self, "revision"), self.request_id)
            self.say(done.message)
        except ApiError as error:
            told(self, error)
        self.see_other("/config")


class ExtendAct(Page):
    """POST /config/extend: a temporary value lasts EXTEND_MINUTES longer than the end that was seen."""

    async def post(self) -> None:
        assert self.identity is not None
        setting, scope = self.get_body_argument("setting", ""), self.get_body_argument("scope", "")
        try:
            until = float(whole(self, "until"))
            saved = await service.extend(
                self.parts,
                self.identity,
                setting=setting,
                scope=scope,
                until=until,
                minutes=EXTEND_MINUTES,
                request_id=self.request_id,
            )
            self.say(saved.message)
        except ApiError as error:
            told(self, error)
        self.see_other(local_address(self.get_body_argument("next", ""), "/config"))


def told(page: Page, error: ApiError) -> None:
    """Say why nothing was done; anything but a conflict is an error page."""
    if error.code not in TOLD:
        raise error
    page.say(error.detail)


def whole(page: Page, name: str) -> int:
    """A whole number in a form's field, or ApiError INVALID."""
    text = page.get_body_argument(name, "")
    if WHOLE.fullmatch(text) is None:
        raise invalid(name, "give a whole number")
    return int(text)
