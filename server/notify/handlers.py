"""HTTP of targets: for administrators; and for PagerDuty, which has to sign."""

from __future__ import annotations

import msgspec

from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.kernel.errors import invalid
from server.kernel.ids import number_in
from server.notify import acknowledgement, acts
from server.notify.acknowledgement import AcknowledgementAnswer
from server.notify.acts import NewTarget, Removed, TargetRequest, TargetView, Tested
from server.notify.kinds import pagerduty


def whole(target_id: str) -> int:
    """The id in an address, or ApiError INVALID."""
    number = number_in(target_id)
    if number is None:
        raise invalid("target_id", "is a whole number")
    return number


class TargetsHandler(ApiHandler):
    """/api/v1/targets"""

    @operation("Where alerts are sent and how that fares; no secrets", scope="admin", returns=list[TargetView])
    async def get(self) -> None:
        async with self.parts.db.ask() as connection:
            self.reply(await acts.list_targets(connection))

    @operation(
        "Add a target; a secret made here is shown this once",
        scope="admin",
        body=TargetRequest,
        returns=NewTarget,
        status=201,
    )
    async def post(self) -> None:
        wanted = self.body(TargetRequest)
        assert self.identity is not None
        async with self.parts.db.act() as connection:
            made = await acts.add_target(
                connection, self.parts.env, wanted, actor=self.identity.actor, request_id=self.request_id
            )
        self.reply(made)


class RemoveHandler(ApiHandler):
    """/api/v1/targets/{target_id}/remove"""

    @operation("Take a target away", scope="admin", returns=Removed, errors=("NOT_FOUND",))
    async def post(self, target_id: str) -> None:
        assert self.identity is not None
        async with self.parts.db.act() as connection:
            gone = await acts.remove_target(
                connection, whole(target_id), actor=self.identity.actor, request_id=self.request_id
            )
        self.reply(gone)


class TestHandler(ApiHandler):
    """/api/v1/targets/{target_id}/test"""

    @operation("Send a test message now and say what came of it", scope="admin", returns=Tested, errors=("NOT_FOUND",))
    async def post(self, target_id: str) -> None:
        assert self.identity is not None
        self.reply(
            await acts.send_test(
                self.parts.env,
                self.parts.db,
                whole(target_id),
                actor=self.identity.actor,
                request_id=self.request_id,
            )
        )


class InboundSecret(msgspec.Struct, forbid_unknown_fields=True):
    """The secret that PagerDuty showed when the webhook subscription was made."""

    inbound_secret: str = ""


class InboundSecretStored(msgspec.Struct):
    """That it is stored: acknowledgements come back from now on."""

    id: int
    name: str
    inbound: bool = True


class InboundSecretHandler(ApiHandler):
    """/api/v1/targets/{target_id}/inbound-secret"""

    @operation(
        "Store what PagerDuty signs its webhooks with",
        scope="admin",
        body=InboundSecret,
        returns=InboundSecretStored,
        errors=("NOT_FOUND",),
    )
    async def post(self, target_id: str) -> None:
        wanted = self.body(InboundSecret)
        assert self.identity is not None
        async with self.parts.db.act() as connection:
            found = await acts.set_inbound_secret(
                connection,
                self.parts.env,
                whole(target_id),
                wanted.inbound_secret,
                actor=self.identity.actor,
                request_id=self.request_id,
            )
        self.reply(InboundSecretStored(found.id, found.name))


class PagerDutyHandler(ApiHandler):
    """/api/v1/targets/{target_id}/pagerduty: open to strangers."""

    @operation(
        "PagerDuty's V3 webhooks: an acknowledgement there is one here. Verified by X-PagerDuty-Signature",
        scope=None,
        body=pagerduty.PagerDutyWebhook,
        returns=AcknowledgementAnswer,
        errors=("FORBIDDEN", "NOT_FOUND"),
        headers=("X-PagerDuty-Signature",),
    )
    async def post(self, target_id: str) -> None:
        signatures = self.request.headers.get("X-PagerDuty-Signature", "")
        await acknowledgement.verify(
            self.parts.db, self.parts.env.secret_key, whole(target_id), signatures, self.request.body
        )
        self.reply(await acknowledgement.receive(self.parts, self.body(pagerduty.PagerDutyWebhook), self.request_id))


ROUTES: tuple[Route, ...] = (
    Route("/api/v1/targets", TargetsHandler),
    Route("/api/v1/targets/{target_id}/remove", RemoveHandler),
    Route("/api/v1/targets/{target_id}/test", TestHandler),
    Route("/api/v1/targets/{target_id}/inbound-secret", InboundSecretHandler),
    Route("/api/v1/targets/{target_id}/pagerduty", PagerDutyHandler),
)
