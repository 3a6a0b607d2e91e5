"""People: roles, passwords and addresses, and the administrator who stays."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.auth import fresh, people_store
from server.auth.audit_store import recent_acts
from server.auth.people import (
    change_role,
    disable_person,
    enable_person,
    set_password,
)
from server.auth.people_store import Person, list_people
from server.kernel.errors import ApiError
from tests.auth.people import enter, fails, person, until_nobody
from tests.auth.processes import process, signed_in
from tests.waiting import NEVER_S, PATIENCE_S

pytestmark = pytest.mark.gen_test


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
            await people_store.change(connection, made.id, totp_secret="sealed1:")
            assert (await set_password(connection, made.id, new, actor="root")).codes, "they stay"
            await people_store.change(connection, made.id, totp_secret=None)
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
