"""SQL of hooks."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import func, insert, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.times import Instant
from server.tables.codec import Rows
from server.tables.hooks import hooks


class Hook(Struct):
    """What a platform signs with that can send no key. `services` are those that it may tell of; empty: every."""

    id: int
    name: str
    services: list[str]
    secret: str  # sealed
    created_by: str
    created_at: Instant
    used_at: Instant | None = None

    def may_touch(self, service: str) -> bool:
        """Whether it may tell of a service."""
        return not self.services or service in self.services


HOOKS = Rows(hooks, Hook)


async def every(connection: AsyncConnection) -> list[Hook]:
    """Those in force, in the order of their names."""
    return HOOKS.every(
        await connection.execute(HOOKS.select().where(hooks.c.removed_at.is_(None)).order_by(hooks.c.name))
    )


async def add(connection: AsyncConnection, name: str, services: Sequence[str], secret: str, by: str) -> Hook | None:
    """A new one; None where there is one of this name."""
    values = {"name": name, "services": list(services), "secret": secret, "created_by": by}
    try:
        async with connection.begin_nested():
            rows = await connection.execute(insert(hooks).values(values).returning(*HOOKS.selected))
            return HOOKS.one(rows)
    except IntegrityError:
        return None


async def remove(connection: AsyncConnection, hook_id: int) -> str | None:
    """Forget one and its secret: its name; None where there is none."""
    gone = update(hooks).where(hooks.c.id == hook_id, hooks.c.removed_at.is_(None))
    done = await connection.execute(gone.values(removed_at=func.now(), secret="").returning(hooks.c.name))
    name: str | None = done.scalar_one_or_none()
    return name


async def used(connection: AsyncConnection, hook_id: int) -> None:
    """Note that it was, to the minute."""
    old = text("used_at IS NULL OR used_at < now() - interval '1 minute'")
    await connection.execute(update(hooks).where(hooks.c.id == hook_id, old).values(used_at=func.now()))
