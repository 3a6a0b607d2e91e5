"""HTTP of signals: the webhook of Alertmanager, and what is known of signals."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from msgspec import Meta, Struct

from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.kernel import shared_clock
from server.receivers.alertmanager import AlertmanagerWebhook, read
from server.signals import store
from server.signals.answers import SignalAnswer, signal_answer
from server.signals.signal import SignalSender, SignalStanding
from server.telemetry import metrics

BODY_MAX = 16 * 1024 * 1024  # bytes: more than 10,000 alerts
STORE_S = 5.0  # Alertmanager gives a receiver 10 s, and then never tells that something ended
STANDINGS: dict[str, SignalStanding | None] = {
    "all": None,
    "firing": "firing",
    "ended": "ended",
    "absent": "absent",
    "not_heard_of": "not heard of",
}


class SignalsKept(Struct):
    """How many signals of the group were kept; `left_out` are of services that the key is not of."""

    signals: int
    left_out: int


class SignalsAsked(Struct):
    """Newest first. `before` is the id of the last signal already seen."""

    state: Literal["all", "firing", "ended", "absent", "not_heard_of"] = "all"
    service: str | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    before: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None


class SignalsAnswer(Struct):
    """`next` is the `before` of the next page; null on the last."""

    signals: list[SignalAnswer]
    next: int | None


class AlertmanagerHandler(ApiHandler):
    """/api/v1/hooks/alertmanager"""

    basic = True
    receiver = "Alertmanager"

    def body_limit(self) -> int:
        return BODY_MAX

    @operation(
        "The webhook of Alertmanager, version 4",
        scope="ingest",
        body=AlertmanagerWebhook,
        returns=SignalsKept,
        errors=("BAD_REQUEST", "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE", "INVALID", "QUEUE_FULL", "UNAVAILABLE"),
    )
    async def post(self) -> None:
        """200 once it is kept, 503 where it cannot be: Alertmanager sends it again. The same again changes nothing."""
        assert self.identity is not None
        told = await asyncio.to_thread(read, self.json())
        policy, sender = (
            self.parts.policies.budget_policy.signals,
            SignalSender(self.identity.name, self.identity.may_touch),
        )
        async with asyncio.timeout(STORE_S), self.parts.db.act() as connection:
            taken = await store.keep(connection, told, sender, policy, shared_clock.now())
        self.taken = len(taken)
        kept = SignalsKept(len(taken), len(told.signals) - len(taken))
        metrics.signals_told(sum(one.firing for one in taken), kept.signals, kept.left_out)
        self.reply(kept)


class SignalsHandler(ApiHandler):
    """/api/v1/signals"""

    @operation("What other systems say is in trouble", scope="read", query=SignalsAsked, returns=SignalsAnswer)
    async def get(self) -> None:
        """Newest first."""
        asked, now, policy = self.query(SignalsAsked), shared_clock.now(), self.parts.policies.budget_policy.signals
        async with self.parts.db.ask() as connection:
            found = await store.listed(
                connection, asked.service, STANDINGS[asked.state], asked.before, asked.limit + 1, now, policy
            )
        shown = found[: asked.limit]
        more = shown[-1].id if len(found) > asked.limit else None
        self.reply(SignalsAnswer([signal_answer(one, now, policy) for one in shown], more))


ROUTES: tuple[Route, ...] = (
    Route("/api/v1/hooks/alertmanager", AlertmanagerHandler),
    Route("/api/v1/signals", SignalsHandler),
)
