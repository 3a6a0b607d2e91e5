"""The first administrator's link."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import text

from server.auth.signin import first_admin_link, link_works
from server.kernel.errors import ApiError
from tests.auth.people import MIRA, PASSWORD
from tests.auth.processes import process, signed_in

pytestmark = pytest.mark.gen_test


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


async def test_an_expired_link_does_not_work(make_env: Any) -> None:
    env = make_env()
    async with process(env) as auth:
        link = await first_admin_link(auth.db, env)
        token = parse_qs(urlsplit(link or "").query)["token"][0]
        async with auth.db.act() as connection:
            await connection.execute(text("UPDATE signin_links SET expires_at = now() - interval '1 second'"))
        assert not await link_works(auth.db, token)
