"""What an incident asks of the settings, and what came of it: pure, as the incidents know no settings."""

from __future__ import annotations

from msgspec import Struct

from server.config.registry import Value


class Lowered(Struct):
    """A setting tightened for some minutes, for all or for one key (`key:ID`)."""

    setting: str
    value: Value
    scope: str
    minutes: int


class WentBack(Struct):
    """The values of revision `to` brought back; `from_` is the one that was seen in force. None: left out."""

    from_: int | None
    to: int | None


LeverAsked = Lowered | WentBack


class LeverBy(Struct):
    """Who asks, in which request and incident, and why."""

    actor: str
    request_id: str
    incident: int
    reason: str


class LeverDone(Struct):
    """What came of it. `already`: it had been done before, and nothing was changed. `text` is for the timeline;
    `revision` is to be signalled to the processes once the transaction has ended; None: none was made."""

    already: bool
    message: str
    text: str = ""
    revision: int | None = None
