"""People who sign in, for tests."""

from __future__ import annotations

import asyncio

import pytest

from server.auth.authenticator import Authenticator
from server.auth.people import (
    Person,
    create_person,
)
from server.kernel.errors import ApiError
from tests.auth.processes import signed_in
from tests.waiting import PATIENCE_S

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


async def until_nobody(auth: Authenticator, token: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await signed_in(auth, token) is not None:
            await asyncio.sleep(0.01)
