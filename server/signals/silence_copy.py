"""A silence of ours as it stands in Alertmanager: what it matches there, and how it is known again.

Alertmanager knows no service but the labels that name one, the first that is there: it takes a silence for each of
them, which matches where the labels before it are missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from server.kernel.times import utc


class SilenceCopy(Struct):
    """One silence there, of one label that names the service; `remote_id` '': it is not known to be there. Times are
    Unix seconds: `ends_at` is when ours ends, `over`: ours was ended by hand."""

    id: int
    silence_id: int
    number: int
    remote_id: str
    attempts: int
    service: str
    reason: str
    author: str
    created_at: float
    ends_at: float
    over: bool

    @property
    def mark(self) -> str:
        """What it is found by there, when the answer that had its id was lost. Another database counts its silences
        anew."""
        return f"(Evenkeel silence {self.silence_id}.{self.number}, {int(self.created_at)})"


class RemoteStatus(Struct):
    """How a silence stands there."""

    state: str = ""


class RemoteSilence(Struct):
    """A silence there, as far as it matters."""

    id: str
    comment: str = ""
    status: RemoteStatus = msgspec.field(default_factory=RemoteStatus)


class SilencePosted(Struct):
    """What it answers to a silence that was made."""

    silence_id: str = msgspec.field(name="silenceID")


def matchers(one: SilenceCopy, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The labels before its own are missing, and its own is the service."""
    pairs = [(name, "") for name in labels[: one.number]] + [(labels[one.number], one.service)]
    return [{"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in pairs]


def written(one: SilenceCopy, labels: Sequence[str]) -> bytes:
    """The body that makes it, or moves its end."""
    body: dict[str, Any] = {
        "matchers": matchers(one, labels),
        "startsAt": utc(one.created_at),
        "endsAt": utc(one.ends_at),
        "createdBy": one.author,
        "comment": f"{one.reason} {one.mark}",
    }
    return msgspec.json.encode(body | ({"id": one.remote_id} if one.remote_id else {}))


def found_again(one: SilenceCopy, there: Sequence[RemoteSilence]) -> str:
    """Its id there, where an earlier try made it; '' where none did."""
    mine = (each.id for each in there if each.comment.endswith(one.mark) and each.status.state != "expired")
    return next(mine, "")
