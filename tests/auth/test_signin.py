"""Signing in: who is slowed, and what it gives away."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy import text

from server.auth import passwords
from server.auth.authenticator import Authenticator
from server.auth.people import (
    disable_person,
)
from server.auth.signin_store import forget_old
from server.kernel.errors import ApiError
from tests.auth.people import MIRA, PASSWORD, enter, fails, person
from tests.auth.processes import process

pytestmark = pytest.mark.gen_test


async def do(auth: Authenticator, statement: str) -> None:
    async with auth.db.act() as connection:
        await connection.execute(text(statement))


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


async def test_an_attempt_that_found_no_turn_is_no_failure(make_env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with process(make_env()) as auth:
        await person(auth)
        with monkeypatch.context() as patched:
            patched.setattr(passwords, "WAITING", 0)
            assert await fails(auth, 30) == ["UNAVAILABLE"] * 30
        async with auth.db.act() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM signin_failures"))).scalar_one() == 0
        assert await enter(auth)


async def test_what_has_ended_is_forgotten(make_env: Any) -> None:
    async with process(make_env()) as auth:
        await person(auth)
        await enter(auth)
        await fails(auth, 2)
        async with auth.db.act() as connection:
            await connection.execute(text("UPDATE signin_failures SET at = now() - interval '1 hour'"))
            await connection.execute(text("UPDATE sessions SET revoked_at = now() - interval '31 days'"))
        await enter(auth)
        await forget_old(auth.db)
        async with auth.db.act() as connection:
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
