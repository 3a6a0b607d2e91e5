"""Sessions: known in every process, and ended everywhere."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from server.auth import fresh
from server.auth.audit_store import recent_acts
from server.auth.credential_cache import IDLE_S
from server.auth.identity import Identity
from server.auth.people import (
    disable_person,
)
from server.auth.people_store import list_sessions
from server.kernel.db import Database
from server.kernel.errors import ApiError
from tests.auth.people import MIRA, PASSWORD, enter, person, until_nobody
from tests.auth.processes import process, signed_in
from tests.waiting import NEVER_S, PATIENCE_S

pytestmark = pytest.mark.gen_test


async def test_a_session_is_known_in_every_process_and_stored_hashed(make_env: Any) -> None:
    async with process(make_env()) as one, process(make_env()) as other:
        made = await person(one)
        token = await enter(one, " Mira@Example.com ")
        for auth in (one, other):
            found = await signed_in(auth, token)
            assert found is not None
            assert (found.kind, found.id, found.name, found.role) == ("person", made.id, MIRA, "commander")
            assert found.scopes == {"read", "act"}
            assert (found.key_id, found.actor) == (0, MIRA)
        async with one.db.act() as connection:
            stored = (
                await connection.execute(text("SELECT sessions::text || users::text FROM sessions, users"))
            ).scalar_one()
            (session,) = await list_sessions(connection, made.id)
        assert token not in stored
        assert PASSWORD not in stored
        assert "$argon2id$v=19$m=19456,t=2,p=1$" in stored
        assert (session.email, session.address, session.agent) == (MIRA, "10.1.1.1", "Firefox")
        assert 29.9 < (session.expires_at - session.created_at).total_seconds() / 86400 < 30.1


async def test_revoking_a_session_ends_it_and_its_streams_in_every_process(
    make_env: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh, "POLL_S", NEVER_S)
    async with process(make_env()) as one, process(make_env()) as other:
        await person(one)
        token = await enter(one)
        mira = await signed_in(one, token)
        seen = await signed_in(other, token)
        assert mira is not None
        assert seen is not None
        ended: list[int] = []
        other.on_revoked(seen.session_id, ended.append)
        forget = other.on_revoked(seen.session_id, lambda _: ended.append(-1))
        forget()
        await one.sign_out(mira)
        assert await signed_in(one, token) is None  # here at once
        await until_nobody(other, token)
        assert ended == [mira.session_id]
        with pytest.raises(ApiError, match="not open"):
            await one.sign_out(mira)
        async with one.db.act() as connection:
            assert [a.action for a in await recent_acts(connection)] == [
                "session.revoke",
                "session.open",
                "person.create",
            ]


async def test_a_stream_ends_without_the_bus_too(make_env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "POLL_S", 0.1)
    async with process(make_env()) as auth:
        made = await person(auth)
        await person(auth, "other@example.com", "admin")
        token = await enter(auth)
        mira = await signed_in(auth, token)
        assert mira is not None
        ended = asyncio.Event()
        auth.on_revoked(mira.session_id, lambda _: ended.set())
        await auth.bus.close()
        async with auth.db.act() as connection:
            await disable_person(connection, made.id, actor="me")
        async with asyncio.timeout(PATIENCE_S):
            await ended.wait()


async def test_a_watched_session_is_not_forgotten_while_idle(make_env: Any) -> None:
    async with process(make_env()) as auth:
        await person(auth)
        watched, idle = await enter(auth), await enter(auth)
        mira = await signed_in(auth, watched)
        assert mira is not None
        auth.on_revoked(mira.session_id, lambda _: None)
        await signed_in(auth, idle)
        for held in auth.sessions._held.values():
            held.used_at -= 2 * IDLE_S
        await auth.sessions.fresh.now()
        assert len(auth.sessions._held) == 1
        assert await signed_in(auth, idle) is not None


async def test_one_may_end_ones_own_sessions_and_an_administrator_anybodys(make_env: Any) -> None:
    async with process(make_env()) as auth:
        await person(auth)
        await person(auth, "jon@example.com", "responder")
        await person(auth, "root@example.com", "admin")
        tokens = [await enter(auth, email) for email in (MIRA, "jon@example.com", "root@example.com")]
        mira, jon, root = [await signed_in(auth, token) for token in tokens]
        assert mira is not None
        assert jon is not None
        assert root is not None
        with pytest.raises(ApiError) as refused:
            await auth.revoke_session(mira.session_id, jon)
        assert refused.value.code == "FORBIDDEN"
        key = Identity("key", mira.id, "ci", frozenset({"read"}))  # a key whose id is the same number as hers
        with pytest.raises(ApiError) as refused:
            await auth.revoke_session(mira.session_id, key)
        assert refused.value.code == "FORBIDDEN"
        assert await signed_in(auth, tokens[0]) == mira
        await auth.revoke_session(mira.session_id, root)
        await until_nobody(auth, tokens[0])
        await auth.revoke_session(jon.session_id, jon)
        await until_nobody(auth, tokens[1])


async def test_a_cookie_that_we_did_not_sign_costs_no_query(make_env: Any) -> None:
    from tests.auth.processes import Asked

    async with process(make_env()) as auth:
        auth.sessions.db = away = Database("postgresql://nobody@127.0.0.1:1/none")
        for cookie in ("", "es_" + "a" * 43, "2|1:0|10:1|16:evenkeel_session|4:abcd|00"):
            assert await auth.identify(Asked(cookie=cookie), allow_session=True) is None  # type: ignore[arg-type]
        with pytest.raises(ApiError) as unknown:
            await signed_in(auth, "es_" + "a" * 43)
        assert unknown.value.status == 503
        await away.close()
