"""Keys as every process sees them: made, used, revoked, and with the database away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from server.auth import credential_cache, fresh
from server.auth.audit_store import recent_acts
from server.auth.authenticator import Authenticator
from server.auth.identity import Identity
from server.auth.keys import NewKey, create_key, revoke_key
from server.auth.store import list_keys
from server.kernel.db import Database
from server.kernel.errors import ApiError
from tests.auth.processes import Asked, bearer, process
from tests.waiting import NEVER_S, PATIENCE_S

pytestmark = pytest.mark.gen_test


async def made(auth: Authenticator, *scopes: str, lifetime_s: int | None = None) -> NewKey:
    async with auth.db.act() as connection:
        return await create_key(connection, "ci", scopes or ("read",), actor="me", lifetime_s=lifetime_s)


async def test_a_key_works_in_every_process_at_once_and_only_its_hash_is_stored(make_env: Any) -> None:
    async with process(make_env()) as one, process(make_env()) as other:
        key = await made(one, "read", "ingest")
        for auth in (one, other):
            identity = await bearer(auth, key.key)
            assert identity == Identity("key", key.id, "ci", frozenset({"ingest", "read"}))
            assert identity.key_id == key.id
            assert identity.actor == "key:ci"
            assert auth.key_name(key.id) == "ci"
        async with one.db.act() as connection:
            stored = (await connection.execute(text("SELECT api_keys::text, digest FROM api_keys"))).one()
            acts = await recent_acts(connection)
        assert key.key[9:] not in stored[0]
        assert len(stored.digest) == 32
        assert [(a.actor, a.action, a.subject) for a in acts] == [("me", "key.create", "ci")]
        assert key.key not in str(acts)


async def test_a_revocation_is_seen_by_every_process(make_env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "POLL_S", NEVER_S)
    async with process(make_env()) as one, process(make_env()) as other:
        key = await made(one)
        assert await bearer(other, key.key)
        async with one.db.act() as connection:
            await revoke_key(connection, key.id, actor="me")
            again = await revoke_key(connection, key.id, actor="me")
            assert again.revoked_at is not None
        async with asyncio.timeout(PATIENCE_S):
            while await bearer(other, key.key) or await bearer(one, key.key):
                await asyncio.sleep(0.01)
        async with one.db.act() as connection:
            assert [a.action for a in await recent_acts(connection)] == ["key.revoke", "key.create"]
            with pytest.raises(ApiError, match="no key 999"):
                await revoke_key(connection, 999, actor="me")
        assert other.key_name(key.id) == "ci"  # its refusals still have a name


async def test_a_revocation_is_seen_without_the_bus(make_env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "POLL_S", 0.1)
    async with process(make_env()) as auth:
        key = await made(auth)
        assert await bearer(auth, key.key)
        await auth.bus.close()
        async with auth.db.act() as connection:
            await revoke_key(connection, key.id, actor="me")
        async with asyncio.timeout(PATIENCE_S):
            while await bearer(auth, key.key):
                await asyncio.sleep(0.02)


async def test_a_key_ends_at_its_time(make_env: Any) -> None:
    async with process(make_env()) as auth:
        key = await made(auth, lifetime_s=1)
        assert await bearer(auth, key.key)
        async with asyncio.timeout(PATIENCE_S):
            while await bearer(auth, key.key):
                await asyncio.sleep(0.05)


async def test_an_act_that_fails_leaves_neither_key_nor_audit(make_env: Any) -> None:
    async with process(make_env()) as auth:
        with pytest.raises(RuntimeError):  # noqa: PT012
            async with auth.db.act() as connection:
                key = await create_key(connection, "ci", ["read"], actor="me")
                raise RuntimeError
        assert await bearer(auth, key.key) is None
        async with auth.db.act() as connection:
            assert await list_keys(connection) == []
            assert await recent_acts(connection) == []


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer ek_short", "Bearer ek_" + "a" * 43, "Bearer \0"]
)
async def test_strangers_are_nobody(make_env: Any, authorization: str) -> None:
    async with process(make_env()) as auth:
        assert await auth.identify(Asked(authorization), allow_session=True) is None  # type: ignore[arg-type]


async def test_a_flood_of_unknown_keys_shares_its_queries(make_env: Any) -> None:
    async with process(make_env()) as auth:
        reads = 0
        read = auth.keys.fresh._read

        async def counted() -> None:
            nonlocal reads
            reads += 1
            await read()

        auth.keys.fresh._read = counted
        good = await made(auth)
        answers = await asyncio.gather(*(bearer(auth, f"ek_{n:043d}") for n in range(500)), bearer(auth, good.key))
        assert answers[:-1] == [None] * 500
        assert answers[-1] is not None
        assert reads <= 5


async def test_known_keys_work_for_a_while_without_the_database(make_env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with process(make_env()) as auth:
        key, sends = await made(auth), await made(auth, "ingest", "act")
        assert await bearer(auth, key.key)
        assert await bearer(auth, sends.key)
        auth.keys.db = away = Database("postgresql://nobody@127.0.0.1:1/none")
        try:
            auth.keys.fresh.read_at -= 60  # as after a minute without a read
            assert await bearer(auth, key.key)
            assert auth.keys.fresh.failing
            with pytest.raises(ApiError) as unknown:
                await bearer(auth, "ek_" + "a" * 43)
            assert unknown.value.status == 503  # not 401: whether it is good cannot be known
            auth.keys.fresh.read_at -= credential_cache.KEPT_WITHOUT_DATABASE_S
            with pytest.raises(ApiError) as late:
                await bearer(auth, key.key)
            assert late.value.status == 503
            narrowed = await bearer(auth, sends.key)
            assert narrowed is not None
            assert narrowed.scopes == {"ingest"}, "what goes to the spool is taken on, and no more"
            auth.keys.fresh.read_at -= credential_cache.SENDS_WITHOUT_DATABASE_S
            with pytest.raises(ApiError):
                await bearer(auth, sends.key)
        finally:
            await away.close()


async def test_bad_names_and_scopes_are_refused(make_env: Any) -> None:
    async with process(make_env()) as auth, auth.db.act() as connection:
        for name, scopes in (("", ["read"]), ("a\0b", ["read"]), ("x" * 101, ["read"]), ("ok", []), ("ok", ["root"])):
            with pytest.raises(ApiError) as refused:
                await create_key(connection, name, scopes, actor="me")
            assert refused.value.status == 422
