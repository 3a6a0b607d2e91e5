"""People: signing in, being slowed, roles, sessions that end everywhere, the first administrator's link."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import text

from server.auth import fresh, passwords
from server.auth.audit import recent_acts
from server.auth.identity import Authenticator, Identity
from server.auth.people import (
    Person,
    change_role,
    create_person,
    disable_person,
    enable_person,
    list_people,
    set_password,
)
from server.auth.session_cache import IDLE_S
from server.auth.sessions import list_sessions
from server.auth.signin_link import first_admin_link, link_works
from server.auth.signin_store import forget_ended
from server.db import Database
from server.errors import ApiError
from tests.auth.processes import process, signed_in
from tests.waiting import NEVER_S, PATIENCE_S

pytestmark = pytest.mark.gen_test

PASSWORD = "correct horse battery"
MIRA = "mira@example.com"


async def person(auth: Authenticator, email: str = MIRA, role: str = "commander") -> Person:
    hashed = await auth.passwords.hash(PASSWORD)
    async with auth.db.act() as connection:
        return await create_person(connection, email, hashed, role, actor="me")


async def enter(auth: Authenticator, email: str = MIRA, password: str = PASSWORD, address: str = "10.1.1.1") -> str:
    return await auth.sign_in(email, password, address, "Firefox")


async def fails(auth: Authenticator, times: int, email: str = MIRA, address: str = "10.1.1.1") -> list[str]:
    codes = []
    for _ in range(times):
        with pytest.raises(ApiError) as refused:
            await enter(auth, email, "wrong password", address)
        codes.append(refused.value.code)
    return codes


async def do(auth: Authenticator, statement: str) -> None:
    async with auth.db.act() as connection:
        await connection.execute(text(statement))


async def until_nobody(auth: Authenticator, token: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await signed_in(auth, token) is not None:
            await asyncio.sleep(0.01)


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


async def test_a_wrong_password_an_unknown_and_a_disabled_account_look_the_same_and_take_as_long(make_env: Any) -> None:
    async with process(make_env()) as auth:
        gone = await person(auth, "gone@example.com")
        await person(auth)
        async with auth.db.act() as connection:
            await disable_person(connection, gone.id, actor="me")
        took, said = {}, set()
        for email, password in ((MIRA, "wrong"), ("nobody@example.com", PASSWORD), ("gone@example.com", PASSWORD)):
            began = time.process_time()
            with pytest.raises(ApiError) as refused:
                await enter(auth, email, password)
            took[email] = time.process_time() - began
            said.add((refused.value.code, refused.value.detail))
        assert len(said) == 1
        assert min(took.values()) > max(took.values()) / 4, took  # each has paid for an argon2


async def test_an_account_is_slowed_in_every_process_and_success_clears_it(make_env: Any) -> None:
    async with process(make_env()) as one, process(make_env()) as other:
        await person(one)
        assert await fails(one, 3, address="10.1.1.1") == ["UNAUTHENTICATED"] * 3
        assert await fails(other, 2, address="10.1.1.2") == ["UNAUTHENTICATED"] * 2
        more = f"INSERT INTO signin_failures (subject, at) VALUES ('account:{MIRA}', now())"
        for _ in range(4):  # as if it had gone on, so that the wait outlasts any pause of this machine
            await do(one, more)
        with pytest.raises(ApiError) as slowed:
            await enter(one, address="10.1.1.3")  # even with the right password
        assert slowed.value.code == "TOO_MANY_ATTEMPTS"
        assert slowed.value.retry_after is not None
        assert 1 <= slowed.value.retry_after <= 16
        await do(one, "UPDATE signin_failures SET at = at - interval '16 s'")
        assert await enter(other, address="10.1.1.3")
        assert await fails(one, 5, address="10.1.1.9") == ["UNAUTHENTICATED"] * 5


async def test_an_attacker_elsewhere_does_not_slow_who_signed_in_from_here_before(make_env: Any) -> None:
    async with process(make_env()) as auth:
        await person(auth)
        await enter(auth, address="192.0.2.1")
        codes = await fails(auth, 8, address="203.0.113.5")
        assert codes[-1] == "TOO_MANY_ATTEMPTS"
        assert await enter(auth, address="192.0.2.1")
        assert (await fails(auth, 6, address="192.0.2.1"))[-1] == "TOO_MANY_ATTEMPTS"


async def test_an_address_is_slowed_over_many_accounts(make_env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "matches", lambda stored, password: False)
    async with process(make_env()) as auth:
        for n in range(20):
            assert await fails(auth, 1, f"a{n}@example.com") == ["UNAUTHENTICATED"]
        assert await fails(auth, 1, "another@example.com") == ["TOO_MANY_ATTEMPTS"]
        assert await fails(auth, 1, "another@example.com", address="10.9.9.9") == ["UNAUTHENTICATED"]


async def test_many_attempts_at_once_do_not_outrun_the_count(make_env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def matches(stored: str, password: str) -> bool:
        tried.append(password)
        return False

    monkeypatch.setattr(passwords, "matches", matches)
    async with process(make_env()) as one, process(make_env()) as other:
        await person(one)
        attempts = (enter(auth, password=f"guess {n}") for n in range(5) for auth in (one, other))
        await asyncio.gather(*attempts, return_exceptions=True)
        assert len(tried) == 5


@pytest.mark.parametrize("email", ["", "hunter2 hunter2", "a\0b@example.com", "x" * 5000, "' OR 1=1 --@x"])
async def test_hostile_input_is_only_refused(make_env: Any, email: str) -> None:
    async with process(make_env()) as auth:
        assert await fails(auth, 1, email) == ["UNAUTHENTICATED"]
        with pytest.raises(ApiError, match="wrong"):
            await auth.sign_in(MIRA, "p" * 100_000, "10.1.1.1", "Fire\0fox\n" * 1000)
        if "@" not in email:  # it may be a password in the wrong field
            async with auth.db.act() as connection:
                subjects = (
                    await connection.execute(text("SELECT string_agg(subject, ' ') FROM signin_failures"))
                ).scalar()
            assert not email or email not in str(subjects)


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
        mira, jon, root = [
            await signed_in(auth, await enter(auth, email)) for email in (MIRA, "jon@example.com", "root@example.com")
        ]
        assert mira is not None
        assert jon is not None
        assert root is not None
        with pytest.raises(ApiError) as refused:
            await auth.revoke_session(mira.session_id, jon)
        assert refused.value.code == "FORBIDDEN"
        key = Identity("key", mira.id, "ci", frozenset({"read"}))  # a key whose id is the same number as hers
        with pytest.raises(ApiError):
            await auth.revoke_session(mira.session_id, key)
        await auth.revoke_session(mira.session_id, root)


async def test_another_role_is_in_force_everywhere(make_env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "POLL_S", NEVER_S)
    async with process(make_env()) as one, process(make_env()) as other:
        made = await person(one)
        token = await enter(one)
        assert await signed_in(other, token)
        async with one.db.act() as connection:
            await change_role(connection, made.id, "viewer", actor="root")
            acts = await recent_acts(connection, 1)
        assert (acts[0].before, acts[0].after) == ({"role": "commander"}, {"role": "viewer"})
        async with asyncio.timeout(PATIENCE_S):
            while (found := await signed_in(other, token)) and found.role != "viewer":
                await asyncio.sleep(0.01)
        assert found is not None
        assert found.scopes == {"read"}


async def test_the_last_administrator_stays_even_when_two_demote_each_other(make_env: Any) -> None:
    async with process(make_env()) as auth:
        first = await person(auth, "a@example.com", "admin")
        with pytest.raises(ApiError, match="last administrator"):
            async with auth.db.act() as connection:
                await disable_person(connection, first.id, actor="me")
        second = await person(auth, "b@example.com", "admin")

        async def demote(who: Person) -> None:
            async with auth.db.act() as connection:
                await change_role(connection, who.id, "viewer", actor="me")

        results = await asyncio.gather(demote(first), demote(second), return_exceptions=True)
        assert sorted(type(result).__name__ for result in results) == ["ApiError", "NoneType"]


async def test_a_disabled_person_and_an_old_password_let_nobody_in(
    make_env: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh, "POLL_S", NEVER_S)
    async with process(make_env()) as auth:
        made = await person(auth)
        token = await enter(auth)
        new = await auth.passwords.hash("another long password")
        async with auth.db.act() as connection:
            await set_password(connection, made.id, new, actor="root")
        await until_nobody(auth, token)
        await fails(auth, 1)
        token = await enter(auth, password="another long password")
        async with auth.db.act() as connection:
            await disable_person(connection, made.id, actor="root")
            await disable_person(connection, made.id, actor="root")
            await enable_person(connection, made.id, actor="root")
            actions = [act.action for act in await recent_acts(connection)]
            assert (await list_people(connection))[0].disabled_at is None
        assert actions.count("person.disable") == 1
        await until_nobody(auth, token)  # enabling does not bring old sessions back


async def test_an_address_is_taken_once(make_env: Any) -> None:
    async with process(make_env()) as auth:
        await person(auth)
        with pytest.raises(ApiError, match="exists already"):
            await person(auth, "MIRA@example.com")
        for short in ("", "elevenchars"):
            with pytest.raises(ApiError, match="12 to 256"):
                await auth.passwords.hash(short)


async def test_the_first_link_works_once_and_only_while_nobody_is_there(make_env: Any) -> None:
    env = make_env(PUBLIC_URL="https://evenkeel.example.com")
    async with process(env) as auth:
        links = [await first_admin_link(auth.db, env) for _ in range(2)]
        assert all(link and link.startswith("https://evenkeel.example.com/welcome?token=el_") for link in links)
        first, second = [parse_qs(urlsplit(link or "").query)["token"][0] for link in links]
        assert await link_works(auth.db, first)
        assert not await link_works(auth.db, "el_" + "a" * 43)

        async def accept(link: str, email: str, password: str = PASSWORD) -> str:
            return await auth.accept_link(link, email, password, address="10.1.1.1", agent="Firefox")

        with pytest.raises(ApiError, match="12 to 256"):
            await accept(first, MIRA, "short")
        with pytest.raises(ApiError, match="e-mail"):
            await accept(first, "mira")
        results = await asyncio.gather(
            accept(first, MIRA), accept(first, "b@example.com"), accept(second, "c@example.com"), return_exceptions=True
        )
        tokens = [result for result in results if isinstance(result, str)]
        assert len(tokens) == 1
        found = await signed_in(auth, tokens[0])
        assert found is not None
        assert found.role == "admin"
        assert not await link_works(auth.db, second)
        assert await first_admin_link(auth.db, env) is None
        with pytest.raises(ApiError, match="was used"):
            await accept(second, "c@example.com")


async def test_false_links_cost_no_hash_and_are_slowed(make_env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever floods /welcome fills no turn of those who sign in, and slows only their own address."""
    env = make_env()
    async with process(env) as auth:
        link = await first_admin_link(auth.db, env)
        right = parse_qs(urlsplit(link or "").query)["token"][0]

        async def hashed(password: str) -> str:
            raise AssertionError("a false link was hashed for")

        async def accept(link: str, address: str = "203.0.113.5") -> str:
            try:
                await auth.accept_link(link, MIRA, PASSWORD, address=address, agent="curl")
            except ApiError as error:
                return error.code
            return "in"

        with monkeypatch.context() as patched:
            patched.setattr(auth.passwords, "hash", hashed)
            assert {await accept(false) for false in ("", "el_short", "ek_" + "a" * 43, "x" * 10_000)} == {"CONFLICT"}
            codes = await asyncio.gather(*(accept("el_" + "a" * 43) for _ in range(40)))
            assert (codes.count("CONFLICT"), codes.count("TOO_MANY_ATTEMPTS")) == (20, 20)
        with pytest.raises(ApiError, match="12 to 256"):
            await auth.accept_link(right, MIRA, "short", address="10.1.1.1", agent="Firefox")
        assert await accept(right, "10.1.1.1") == "in"
        async with auth.db.act() as connection:
            kept = "SELECT count(*) FROM signin_failures WHERE subject = 'address:10.1.1.1'"
            assert (await connection.execute(text(kept))).scalar_one() == 0


async def test_an_attempt_that_found_no_turn_is_no_failure(make_env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with process(make_env()) as auth:
        await person(auth)
        with monkeypatch.context() as patched:
            patched.setattr(passwords, "WAITING", 0)
            assert await fails(auth, 30) == ["UNAVAILABLE"] * 30
        async with auth.db.act() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM signin_failures"))).scalar_one() == 0
        assert await enter(auth)


async def test_an_expired_link_does_not_work(make_env: Any) -> None:
    env = make_env()
    async with process(env) as auth:
        link = await first_admin_link(auth.db, env)
        token = parse_qs(urlsplit(link or "").query)["token"][0]
        async with auth.db.act() as connection:
            await connection.execute(text("UPDATE signin_links SET expires_at = now() - interval '1 second'"))
        assert not await link_works(auth.db, token)


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


async def test_what_has_ended_is_forgotten(make_env: Any) -> None:
    async with process(make_env()) as auth:
        await person(auth)
        await enter(auth)
        await fails(auth, 2)
        async with auth.db.act() as connection:
            await connection.execute(text("UPDATE signin_failures SET at = now() - interval '1 hour'"))
            await connection.execute(text("UPDATE sessions SET revoked_at = now() - interval '31 days'"))
        await enter(auth)
        async with auth.db.act() as connection:
            await forget_ended(connection)
            left = await connection.execute(
                text("SELECT (SELECT count(*) FROM signin_failures), (SELECT count(*) FROM sessions)")
            )
            assert tuple(left.one()) == (0, 1)


async def test_argon2_runs_one_at_a_time_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = 0, 0

    def slow(stored: str, password: str) -> bool:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.02)
        running -= 1
        return True

    monkeypatch.setattr(passwords, "matches", slow)
    checker = passwords.Passwords()
    checks = [asyncio.create_task(checker.verify("x", "y")) for _ in range(30)]
    await asyncio.sleep(0)
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(0.001)
    assert asyncio.get_running_loop().time() - began < 0.015  # the loop goes on
    results = await asyncio.gather(*checks, return_exceptions=True)
    assert most == 1
    assert results.count(True) == passwords.WAITING
    assert sum(isinstance(result, ApiError) for result in results) == 30 - passwords.WAITING
    checker.close()
