"""A webhook, signed as Standard Webhooks says: whatever deploys is told, and answers 2xx once it has done it."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from server.changes.adapters.adapter import Adapter, NotNow, Way, judged
from server.changes.target import DeployActName, DeployOrder
from server.kernel import outside, standard_webhooks
from server.kernel.outside import Closed, NoAnswer
from server.kernel.urls import checked_url, shown_url


class DeployHook(Struct):
    """What it receives. `id` is the same when it is sent again; `act` is pause, resume, roll_back, or test."""

    id: str
    act: str
    service: str
    version: str
    rolls_back: str
    asked_by: str
    incident: int


class WebhookAdapter(Adapter):
    """Its secret signs what is sent."""

    name = "webhook"
    title = "Webhook"
    hint = "a URL, and the secret that signs what is sent; left out, one is made and shown once"
    can: frozenset[DeployActName] = frozenset({"pause", "resume", "roll_back"})

    def checked_address(self, address: str, *, private: bool) -> str:
        return checked_url(address, private=private)

    def shown_address(self, address: str) -> str:
        return shown_url(address)

    def checked_secret(self, secret: str) -> str:
        return standard_webhooks.checked_secret(secret)

    def new_secret(self) -> str:
        return standard_webhooks.new_secret()

    async def carry_out(self, way: Way, order: DeployOrder, now: float) -> str:
        hook = DeployHook(
            order.key, order.act, order.service, order.version, order.rolls_back, order.asked_by, order.incident
        )
        status = await self.post(way, hook, now)
        return f"{shown_url(way.target.address)} answers {status}"

    async def probe(self, way: Way, now: float) -> str:
        hook = DeployHook(f"deploy-test-{int(now)}", "test", way.target.service, "", "", "evenkeel", 0)
        await self.post(way, hook, now)
        return ""

    async def post(self, way: Way, hook: DeployHook, now: float) -> int:
        """Send it; the status of the answer."""
        body = msgspec.json.encode(hook)
        headers = standard_webhooks.headers(way.secret, hook.id, int(now), body)
        try:
            reply = await outside.send(way.target.address, body, headers, private=way.private)
        except (Closed, NoAnswer, OSError, ValueError) as error:
            raise NotNow(f"it cannot be reached: {error}") from None
        return judged(reply, "it").status


ADAPTER = WebhookAdapter()
