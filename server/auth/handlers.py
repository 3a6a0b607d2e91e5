"""API keys and the audit over the API: for administrators."""

from __future__ import annotations

from typing import Annotated

import msgspec

from server.auth.audit_store import Act, recent_acts
from server.auth.keys import NewKey, create_key, revoke_key
from server.auth.store import ApiKey, list_keys
from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.kernel.errors import invalid
from server.kernel.ids import number_in


class KeyRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A key to make."""

    name: str
    scopes: list[str]
    services: list[str] = []  # that it may send and act for; left out: every
    sampled: float = 1.0  # of what share of the requests its sender sends spans, where it samples and does not say so


class Keys(ApiHandler):
    """Every key, and a new one."""

    @operation("List API keys, also those that ended; secrets are not stored", scope="admin", returns=list[ApiKey])
    async def get(self) -> None:
        async with self.parts.db.ask() as connection:
            self.reply(await list_keys(connection))

    @operation(
        "Make an API key; the answer shows it this once", scope="admin", body=KeyRequest, returns=NewKey, status=201
    )
    async def post(self) -> None:
        wanted = self.body(KeyRequest)
        assert self.identity is not None
        async with self.parts.db.act() as connection:
            made = await create_key(
                connection,
                wanted.name,
                wanted.scopes,
                wanted.services,
                actor=self.identity.actor,
                request_id=self.request_id,
                sampled=wanted.sampled,
            )
        self.reply(made)


class Key(ApiHandler):
    """One key."""

    @operation("Revoke an API key; refused everywhere within 5 s", scope="admin", returns=ApiKey, errors=("NOT_FOUND",))
    async def delete(self, key_id: str) -> None:
        assert self.identity is not None
        number = number_in(key_id)
        if number is None:
            raise invalid("key_id", "is a whole number")
        async with self.parts.db.act() as connection:
            ended = await revoke_key(connection, number, actor=self.identity.actor, request_id=self.request_id)
        await self.parts.auth.keys.fresh.quietly()
        self.reply(ended)


class AuditAsked(msgspec.Struct):
    """Newest first. `before` is the id of the last act already seen."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100
    before: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None


class Acts(msgspec.Struct):
    """`next` is the `before` of the next page; null on the last."""

    acts: list[Act]
    next: int | None


class AuditHandler(ApiHandler):
    """Who did what."""

    @operation(
        "Who did what: settings, keys, people, sessions; append-only", scope="admin", query=AuditAsked, returns=Acts
    )
    async def get(self) -> None:
        asked = self.query(AuditAsked)
        async with self.parts.db.ask() as connection:
            found = await recent_acts(connection, asked.limit + 1, asked.before)
        shown = found[: asked.limit]
        self.reply(Acts(shown, shown[-1].id if len(found) > asked.limit else None))


ROUTES: tuple[Route, ...] = (
    Route("/api/v1/keys", Keys),
    Route("/api/v1/keys/{key_id}", Key),
    Route("/api/v1/audit", AuditHandler),
)
