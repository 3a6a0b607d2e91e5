"""Acts on alerts from the pages: acknowledge, silence, end a silence. Each goes back to where it was pressed."""

from __future__ import annotations

from dashboard.shared.act import ActPage, whole
from dashboard.shared.local import local_address
from server.alerts import acts
from server.alerts.matcher import read_line


class AlertAct(ActPage):
    """What the acts share."""

    @property
    def back(self) -> str:
        return local_address(self.get_body_argument("next", ""), "/alerts")

    @property
    def by(self) -> str:
        """Who acts."""
        assert self.identity is not None
        return self.identity.actor


class AcknowledgeAct(AlertAct):
    """POST /alerts/acknowledge."""

    async def act(self) -> str:
        return (await acts.acknowledge(self.parts, whole(self, "id"), self.by, self.request_id)).message


class SilenceAct(AlertAct):
    """POST /alerts/silence: `what` is `service:NAME`, `objective:NAME` or empty, `matchers` a line of them."""

    async def act(self) -> str:
        kind, _, name = self.get_body_argument("what", "").partition(":")
        done = await acts.silence(
            self.parts,
            service=name if kind == "service" else "",
            objective=name if kind == "objective" else "",
            matchers=read_line(self.get_body_argument("matchers", "")),
            minutes=whole(self, "minutes"),
            reason=self.get_body_argument("reason", ""),
            by=self.by,
            request_id=self.request_id,
        )
        return done.message


class EndAct(AlertAct):
    """POST /alerts/silence/end."""

    async def act(self) -> str:
        return (await acts.end_silence(self.parts, whole(self, "id"), self.by, self.request_id)).message
