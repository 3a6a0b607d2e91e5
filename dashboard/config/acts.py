"""Acts on the settings from the pages: roll back, extend. Each is one press, and goes back to where it was pressed."""

from __future__ import annotations

from http import HTTPStatus
from typing import get_args

from msgspec import Struct

from dashboard.config.edit import OVERRIDE_MINUTES
from dashboard.shared.act import ActPage, whole
from dashboard.shared.local import local_address
from server.auth.identity import Identity
from server.config import service
from server.config.registry import SETTINGS
from server.config.service import StagedAct, act_on
from server.gate.overrides import OverrideAsked, override
from server.kernel.errors import ApiError, invalid
from server.kernel.names import OWN

EXTEND_MINUTES = 30
ACTS: dict[str, StagedAct] = {act: act for act in get_args(StagedAct)}


class ConfigAct(ActPage):
    """What the acts on settings share."""

    refusals = ("CONFLICT", "ROLLBACK_AMBIGUOUS", "GATE_DENIED")  # the page shows what is in force now

    @property
    def back(self) -> str:
        return local_address(self.get_body_argument("next", ""), "/config")

    @property
    def by(self) -> Identity:
        """Who acts."""
        assert self.identity is not None
        return self.identity


class RollbackAct(ConfigAct):
    """POST /config/rollback: `from` is the revision that was seen in force, `to` the one whose values come back."""

    async def act(self) -> str:
        from_, to = whole(self, "from"), whole(self, "to")
        return (await service.rollback(self.parts, self.by, from_=from_, to=to, request_id=self.request_id)).message


class StagedForm(ConfigAct):
    """POST /config/staged: `act` on the staged `revision` that was seen."""

    async def act(self) -> str:
        act = ACTS.get(self.get_body_argument("act", ""))
        if act is None:
            raise invalid("act", f"give one of {', '.join(ACTS)}")
        return (await act_on(self.parts, self.by, act, whole(self, "revision"), self.request_id)).message


class ExtendView(Struct):
    """What the gate held, and what was pressed."""

    title: str  # of the setting
    denied: str
    fields: list[tuple[str, str]]
    back: str


class ExtendAct(ConfigAct):
    """POST /config/extend: a temporary value lasts EXTEND_MINUTES longer than the end that was seen.

    Where the gate denies it, the answer is the same form with a reason to override it.
    """

    async def act(self) -> str | None:
        try:
            return await self.extend()
        except ApiError as error:
            if error.code != "GATE_DENIED":
                raise
            reason = self.get_body_argument("override", "")
            if not reason:
                self.ask_to_override(str(error.extra["gate"]))
                return None
        asked = OverrideAsked(OWN, "revision", reason, OVERRIDE_MINUTES)
        await override(self.parts, self.by, asked, self.request_id)
        return await self.extend()

    def ask_to_override(self, denied: str) -> None:
        fields = [(name, self.get_body_argument(name, "")) for name in ("setting", "scope", "until", "next")]
        title = SETTINGS[self.get_body_argument("setting", "")].title
        self.set_status(HTTPStatus.CONFLICT)
        view = ExtendView(title, denied, fields, self.back)
        self.show("config/extend.html", view, title=f"Extend {title} · Evenkeel", page="config")

    async def extend(self) -> str:
        saved = await service.extend(
            self.parts,
            self.by,
            setting=self.get_body_argument("setting", ""),
            scope=self.get_body_argument("scope", ""),
            until=float(whole(self, "until")),
            minutes=EXTEND_MINUTES,
            request_id=self.request_id,
        )
        return saved.message
