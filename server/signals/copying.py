"""Writes silences back to Alertmanager, so that it is quiet there too.

What is to stand there is a row before anything is sent, and what came of it is written down after. A process that dies
in between leaves a claim that ends by itself. Whether a silence was made already is seen by its mark, also where the
database that knew it was restored from yesterday.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from http.client import responses
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import msgspec

from server.kernel import outside, sealed
from server.kernel.outside import Closed, NoAnswer, Reply
from server.signals import copy_store, silence_copy
from server.signals.silence_copy import RemoteSilence, SilenceCopy, SilencePosted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.kernel.db import Database
    from server.kernel.settings import Environment
    from server.slo.policy.policies import Policies

log = logging.getLogger("evenkeel.signals")

T = TypeVar("T")

EVERY_S = 2.0
LIMIT_S = 60.0
ANSWER_MAX = 4 * 1024 * 1024  # bytes: thousands of silences
SECRETS = "address of Alertmanager"
LOST = "its address cannot be opened, SECRET_KEY has changed: set it up again"
PAGE = "Setup, Alertmanager"


class NotWritten(Exception):
    """Why Alertmanager does not have it, and what to do."""


class AlertmanagerClient:
    """One Alertmanager, by its address with the user name and password that may stand in it."""

    def __init__(self, address: str, *, private: bool) -> None:
        parts = urlsplit(address)
        self._base = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
        self._headers = {}
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = "Basic " + b64encode(user.encode()).decode()
        self._private = private

    async def make(self, one: SilenceCopy, labels: Sequence[str]) -> str:
        """Make it, or move its end; its id there. Raises NotWritten."""
        reply = await self._ask("/silences", silence_copy.written(one, labels), "POST")
        return read(checked(reply), SilencePosted).silence_id

    async def search(self, one: SilenceCopy, labels: Sequence[str]) -> str:
        """The id of one that an earlier try has made; '' where none did. Raises NotWritten."""
        mine = f'{labels[one.number]}="{one.service}"'
        reply = await self._ask(f"/silences?filter={quote(mine)}", None, "GET")
        return silence_copy.found_again(one, read(checked(reply), list[RemoteSilence]))

    async def end(self, remote_id: str) -> None:
        """End it; that it has ended already is as good. Raises NotWritten."""
        reply = await self._ask(f"/silence/{quote(remote_id, safe='')}", None, "DELETE")
        if not 200 <= reply.status < 300 and not await self._over(remote_id):
            checked(reply)

    async def _over(self, remote_id: str) -> bool:
        reply = await self._ask(f"/silence/{quote(remote_id, safe='')}", None, "GET")
        return reply.status == 404 or read(checked(reply), RemoteSilence).status.state == "expired"

    async def probe(self) -> None:
        """Look whether it answers. Raises NotWritten."""
        read(checked(await self._ask("/status", None, "GET")), dict[str, object])

    async def _ask(self, path: str, body: bytes | None, method: str) -> Reply:
        url = f"{self._base}/api/v2{path}"
        try:
            return await outside.send(
                url, body, self._headers, private=self._private, method=method, answer_max=ANSWER_MAX
            )
        except Closed as error:
            raise NotWritten(f"refused: {error}") from None
        except NoAnswer as error:
            raise NotWritten(f"no answer: {error}; is it up, and reached from here?") from None
        except OSError as error:
            raise NotWritten(f"{error.strerror or 'no answer in time'}; is it up, and reached from here?") from None
        except ValueError:
            raise NotWritten(f"its address cannot be looked up; mend it on {PAGE}") from None


def checked(reply: Reply) -> Reply:
    """An answer that is good; NotWritten with what to do for any other."""
    if 200 <= reply.status < 300:
        return reply
    said = f"HTTP {reply.status} {responses.get(reply.status, '')}".rstrip()
    if reply.status in (401, 403):
        raise NotWritten(f"{said}: give user name and password in the address on {PAGE}")
    if reply.status == 404 or 300 <= reply.status < 400:
        raise NotWritten(f"{said}: give the address before /api/v2, with --web.route-prefix, on {PAGE}")
    raise NotWritten(said)


def read(reply: Reply, kind: type[T]) -> T:
    """What it says; NotWritten where that is not Alertmanager's."""
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise NotWritten(f"what answers is no Alertmanager with API v2; mend the address on {PAGE}") from None


class SilenceCopies:
    """The watch's job."""

    def __init__(self, env: Environment, db: Database, policies: Policies) -> None:
        self.env = env
        self.db = db
        self._policies = policies

    async def run(self, term: int = 0) -> None:
        """Write and end what is to be, one after the other; safe to repeat and to run twice at once."""
        labels = self._policies.budget_policy.signals.service_labels
        async with self.db.act() as connection:
            await copy_store.want(connection, len(labels))
        while True:
            async with self.db.act() as connection:
                one = await copy_store.claim(connection, len(labels))
                target = await copy_store.in_force(connection)
            if one is None or target is None:
                return
            try:
                await self._carry_out(one, client_of(self.env, target.address), labels)
            except NotWritten as error:
                log.warning("silence %d is not written back: %s", one.silence_id, error)
                async with self.db.act() as connection:
                    await copy_store.failed(connection, one, str(error))

    async def _carry_out(self, one: SilenceCopy, client: AlertmanagerClient, labels: Sequence[str]) -> None:
        if not one.remote_id and (one.attempts > 1 or not one.over):
            one.remote_id = await client.search(one, labels)
        if one.over:
            if one.remote_id:
                await client.end(one.remote_id)
            async with self.db.act() as connection:
                await copy_store.gone(connection, one.id)
            return
        remote_id = await client.make(one, labels)
        async with self.db.act() as connection:
            await copy_store.stands(connection, one.id, remote_id, one.ends_at)


def client_of(env: Environment, stored: str) -> AlertmanagerClient:
    """The Alertmanager of a sealed address. Raises NotWritten where that cannot be opened."""
    try:
        address = sealed.opened(env.secret_key, SECRETS, stored)
    except sealed.Unreadable:
        raise NotWritten(LOST) from None
    return AlertmanagerClient(address, private=env.notify_allow_private)
