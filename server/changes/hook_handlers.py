"""HTTP of what platforms tell of changes, and of the hooks that they sign with. See docs/connect/changes.md.

Who sends has at most ten seconds, and follows no redirect of ours: what is kept is answered with 2xx, what cannot be
kept now with 503, which each of them sends again.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from msgspec import Meta, Struct

from server.changes import hook_store, hooks
from server.changes.announce import AnnouncedChange, Sent, announce
from server.changes.hooks import HookMade, HookRequest, HookView
from server.changes.told import ChangeSender, ToldAnswer, answered, by_hook, by_key, tell
from server.changes.waits import TOPIC
from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.kernel import shared_clock
from server.kernel.errors import ApiError, invalid
from server.kernel.ids import number_in
from server.receivers import cdevents, github, gitlab, pagerduty_change
from server.receivers.told_change import NothingTold, ToldChange

BODY_MAX = 1024 * 1024  # bytes: a deployment of GitHub's is 20 kB, and may carry a payload of its own
STORE_S = 5.0
KEY_MAX = 200  # characters of a webhook-id by which it is known
REFUSALS = ("BAD_REQUEST", "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE", "INVALID", "FORBIDDEN", "UNAVAILABLE")


class HookAsked(Struct):
    """`service`: whose change it is, whatever the platform calls it."""

    service: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class HookRemoved(Struct):
    """Which hook is forgotten."""

    name: str


class ToldHandler(ApiHandler):
    """What the addresses that platforms tell of changes have in common."""

    basic = True

    def body_limit(self) -> int:
        return BODY_MAX

    @property
    def media(self) -> str:
        """The content type, without what is beside it."""
        return self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    async def signer(self, signs: hooks.Signs, how: str) -> ChangeSender:
        """The hook that signed it; ApiError FORBIDDEN says `how` one would. Who sends is a stranger until then."""
        async with asyncio.timeout(STORE_S), self.parts.db.ask() as connection:
            found = await hooks.signer(connection, self.parts.env, signs)
        if found is None:
            raise hooks.refused(f"{how} by the secret of no hook in force; Setup, Hooks makes one.")
        async with asyncio.timeout(STORE_S), self.parts.db.act() as connection:
            await hook_store.used(connection, found.id)
        return by_hook(found)

    def named(self) -> str:
        """The service that the address names; '' where it names none."""
        return self.query(HookAsked).service or ""

    async def keep(self, told: ToldChange | NothingTold, sender: ChangeSender, service: str) -> ToldAnswer:
        """Record it within STORE_S, or 503."""
        async with asyncio.timeout(STORE_S), self.parts.db.act() as connection:
            done = await tell(connection, told, sender, service, self.request_id)
        await self.moved(done)
        return done

    async def moved(self, done: ToldAnswer) -> None:
        """Let those look who wait for it."""
        if done.change is not None:
            await self.parts.bus.publish(TOPIC, done.change.id)


class SignedChangeHandler(ToldHandler):
    """/api/v1/hooks/change: open to strangers."""

    receiver = "Change webhook"

    @operation(
        "Tell of a change, signed as Standard Webhooks says",
        scope=None,
        body=AnnouncedChange,
        returns=ToldAnswer,
        errors=REFUSALS,
        headers=hooks.STANDARD,
    )
    async def post(self) -> None:
        """The same `webhook-id` again changes nothing. It may be late by whatever time it took."""
        signs = hooks.standard(self.request.headers, self.request.body, shared_clock.now())
        sender = await self.signer(signs, "webhook-signature was made")
        asked, key = self.body(AnnouncedChange), self.request.headers["webhook-id"]
        sent = Sent("webhook", f"{sender.actor}/{key[:KEY_MAX]}")
        if not sender.may_touch(asked.service):
            raise hooks.refused(f"{sender.actor} may not tell of {asked.service}.")
        async with asyncio.timeout(STORE_S), self.parts.db.act() as connection:
            done = answered(await announce(connection, asked, sender.actor, self.request_id, sent))
        await self.moved(done)
        self.reply(done)


class GithubHandler(ToldHandler):
    """/api/v1/hooks/github: open to strangers."""

    receiver = "GitHub"

    @operation(
        "GitHub's webhooks deployment_status and release. Verified by X-Hub-Signature-256",
        scope=None,
        query=HookAsked,
        body=github.DeploymentEvent,
        returns=ToldAnswer,
        errors=REFUSALS,
        headers=("X-GitHub-Event", "X-Hub-Signature-256"),
        body_media=("application/json", "application/x-www-form-urlencoded"),
    )
    async def post(self) -> None:
        """Other events, and states of which nothing is concluded, are answered and change nothing."""
        named, body = self.named(), self.request.body
        header = self.request.headers.get("X-Hub-Signature-256", "")
        sender = await self.signer(lambda secret: github.signed_by(secret, header, body), "X-Hub-Signature-256 is made")
        event = self.request.headers.get("X-GitHub-Event", "")
        self.reply(await self.keep(github.read(event, github.document(body, self.media)), sender, named))


class GitlabHandler(ToldHandler):
    """/api/v1/hooks/gitlab: open to strangers."""

    receiver = "GitLab"

    @operation(
        "GitLab's deployment and release events. Verified by its signature, else by X-Gitlab-Token",
        scope=None,
        query=HookAsked,
        body=gitlab.GitlabDeployment,
        returns=ToldAnswer,
        errors=REFUSALS,
        headers=("X-Gitlab-Token", *hooks.STANDARD),
    )
    async def post(self) -> None:
        """Other events, and states of which nothing is concluded, are answered and change nothing."""
        named, headers, body = self.named(), self.request.headers, self.json()
        signed = "webhook-signature" in headers
        token = hooks.by_token(headers.get("X-Gitlab-Token", ""))
        signs = hooks.standard(headers, body, shared_clock.now()) if signed else token
        sender = await self.signer(signs, "webhook-signature is made" if signed else "X-Gitlab-Token is made")
        self.reply(await self.keep(gitlab.read(body), sender, named))


class CdeventsHandler(ToldHandler):
    """/api/v1/hooks/cdevents"""

    receiver = "CDEvents"

    @operation(
        "CDEvents of services: in a CloudEvent, structured or binary, or alone",
        scope="act",
        query=HookAsked,
        body=cdevents.CDEvent,
        of_service=True,
        returns=ToldAnswer,
        errors=REFUSALS,
        headers=("Ce-Time",),
        body_media=cdevents.MEDIA,
    )
    async def post(self) -> None:
        """Other events are answered and change nothing. The same source and id again change nothing."""
        named = self.named()
        assert self.identity is not None
        if self.media not in cdevents.MEDIA:
            raise ApiError("UNSUPPORTED_MEDIA_TYPE", f"Send one event as {' or '.join(cdevents.MEDIA)}.")
        told = cdevents.read(self.request.body, self.media, self.request.headers)
        self.reply(await self.keep(told, by_key(self.identity), named))


class PagerdutyChangeHandler(ToldHandler):
    """/v2/change/enqueue: open to strangers, for the key is in the body."""

    receiver = "PagerDuty change events"

    @operation(
        "PagerDuty's change events: the address to put in the place of PagerDuty's own",
        scope=None,
        query=HookAsked,
        body=pagerduty_change.ChangeEvent,
        returns=pagerduty_change.ChangeEventTaken,
        status=202,
        errors=("UNAUTHENTICATED", *REFUSALS),
    )
    async def post(self) -> None:
        """503 where it cannot be kept, never 429, which its clients send again for ever."""
        named, sent = self.named(), pagerduty_change.read(self.json())
        self.identity = await self.parts.auth.keys.find(sent.routing_key)
        if self.identity is None:
            raise ApiError("UNAUTHENTICATED", "routing_key is no API key in force. Nothing was done.")
        await self.keep(pagerduty_change.change_of(sent, self.identity.id), by_key(self.identity), named)
        self.reply(pagerduty_change.ChangeEventTaken())


class HooksHandler(ApiHandler):
    """/api/v1/hooks"""

    @operation("What platforms sign with that tell of changes; no secrets", scope="admin", returns=list[HookView])
    async def get(self) -> None:
        async with self.parts.db.ask() as connection:
            self.reply([hooks.view(one) for one in await hook_store.every(connection)])

    @operation(
        "Make a hook; its secret is shown this once", scope="admin", body=HookRequest, returns=HookMade, status=201
    )
    async def post(self) -> None:
        assert self.identity is not None
        async with self.parts.db.act() as connection:
            asked = self.body(HookRequest)
            self.reply(await hooks.make(connection, self.parts.env, asked, self.identity.actor, self.request_id))


class HookRemoveHandler(ApiHandler):
    """/api/v1/hooks/{hook_id}/remove"""

    @operation("Remove a hook: what it signs is refused", scope="admin", returns=HookRemoved, errors=("NOT_FOUND",))
    async def post(self, hook_id: str) -> None:
        assert self.identity is not None
        number = number_in(hook_id)
        if number is None:
            raise invalid("hook_id", "is a whole number")
        async with self.parts.db.act() as connection:
            self.reply(HookRemoved(await hooks.remove(connection, number, self.identity.actor, self.request_id)))


ROUTES: tuple[Route, ...] = (
    Route("/api/v1/hooks", HooksHandler),
    Route("/api/v1/hooks/change", SignedChangeHandler),
    Route("/api/v1/hooks/github", GithubHandler),
    Route("/api/v1/hooks/gitlab", GitlabHandler),
    Route("/api/v1/hooks/cdevents", CdeventsHandler),
    Route("/v2/change/enqueue", PagerdutyChangeHandler),
    Route("/api/v1/hooks/{hook_id}/remove", HookRemoveHandler),
)
