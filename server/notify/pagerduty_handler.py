"""HTTP of PagerDuty's webhooks: open to strangers, who have to sign."""

from __future__ import annotations

from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.notify import pagerduty
from server.notify.handlers import whole


class PagerDutyHandler(ApiHandler):
    """/api/v1/targets/{target_id}/pagerduty"""

    @operation(
        "PagerDuty's V3 webhooks: an acknowledgement there is one here. Verified by X-PagerDuty-Signature",
        scope=None,
        body=pagerduty.Webhook,
        returns=pagerduty.Done,
        errors=("FORBIDDEN", "NOT_FOUND"),
        headers=("X-PagerDuty-Signature",),
    )
    async def post(self, target_id: str) -> None:
        signatures = self.request.headers.get("X-PagerDuty-Signature", "")
        await pagerduty.verify(self.parts.db, whole(target_id), signatures, self.request.body)
        self.reply(await pagerduty.receive(self.parts, self.body(pagerduty.Webhook), self.request_id))


ROUTES: tuple[Route, ...] = (Route("/api/v1/targets/{target_id}/pagerduty", PagerDutyHandler),)
