"""Acts that reach outside the incident: on the settings, and on its alerts.

What is done there is done by server/incidents/outside.py in the transaction of the act, so that neither stands without
the other; the act writes down what came of it.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar

from msgspec import Meta, field

from server.config.lever import LeverAsked, Lowered, WentBack
from server.incidents.act import IncidentAct, Minutes, Moment, Number, Reason, conflict
from server.incidents.moves import mitigated
from server.incidents.room import IncidentRoom

Revision = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Limit = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Scope = Annotated[str, Meta(max_length=20)]  # all, or key:ID
Reach = Annotated[int, Meta(ge=1, le=7 * 24 * 60)]


class OutsideAct(IncidentAct):
    """An act whose effect has a place of its own."""

    kind: ClassVar[str] = "config"  # of its line on the timeline

    def apply(self, room: IncidentRoom, moment: Moment) -> str:
        if room.incident.state == "closed":
            raise conflict(room.incident.id, "is closed; reopen it first")
        done = moment.outside
        assert done is not None
        if not done.already:
            room.say(self.kind, f"{done.text}, by {moment.by}.", moment.by, moment.now)
            if self.kind == "config" and not done.undoes:  # to take a mitigation back is none
                room.incident = mitigated(room.incident, moment.now)
        return done.message


class LeverAct(OutsideAct):
    """An act on the settings. Left out, its reason is the incident."""

    reason: Reason = ""

    @property
    @abstractmethod
    def asked(self) -> LeverAsked:
        """What is asked of the settings."""


class RollBackConfig(LeverAct, tag="roll_back_config"):
    """Bring the values of an earlier revision back: `from` is the one that was seen in force, `to` the one whose
    values come back; the last one is undone where both are left out."""

    from_: Revision | None = field(default=None, name="from")
    to: Revision | None = None

    @property
    def asked(self) -> LeverAsked:
        return WentBack(self.from_, self.to)


class LimitAct(LeverAct, kw_only=True):
    """Lower a limit for some minutes, for all (`all`) or for one key (`key:3`)."""

    value: Limit
    scope: Scope = "all"
    minutes: Minutes = 30

    setting: ClassVar[str]

    @property
    def asked(self) -> LeverAsked:
        return Lowered(self.setting, self.value, self.scope, self.minutes)


class LowerBatchItems(LimitAct, tag="lower_batch_items"):
    """Take fewer outcomes in one request."""

    setting = "INGEST_MAX_BATCH_ITEMS"


class LowerBodyBytes(LimitAct, tag="lower_body_bytes"):
    """Take smaller requests."""

    setting = "MAX_REQUEST_BODY_BYTES"


class ThrottleSenders(LimitAct, tag="throttle"):
    """Take fewer outcomes a second of each key."""

    setting = "INGEST_MAX_ITEMS_PER_SECOND"


class RollupsOnly(LeverAct, kw_only=True, tag="rollups_only"):
    """Keep no outcomes, only what is counted of them, for some minutes."""

    scope: Scope = "all"
    minutes: Minutes = 30

    @property
    def asked(self) -> LeverAsked:
        return Lowered("INGEST_STORE_OUTCOMES", False, self.scope, self.minutes)


class Acknowledge(OutsideAct, tag="acknowledge"):
    """Acknowledge its alerts, or one of them: nobody else is told of these firings."""

    alert: Number | None = None

    kind = "alert"


class SilenceAlerts(OutsideAct, tag="silence"):
    """Silence what its open alerts are of, for some minutes: they are shown, and nobody is told."""

    reason: Reason
    minutes: Reach = 60

    kind = "alert"
