"""What is kept of an alert: every field, but those that others write."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import inspect
from msgspec.structs import fields, replace

from server.alerts import store
from server.alerts.alert import ANEW, Alert, Beginning
from server.slo.model.memory import Recovery
from tests.alerts.making import NOW, at, burning
from tests.live.writing import database


def filled(number: int) -> Alert:
    """An alert with a value of its own in every field; `number` is 1, 2 or 3."""
    values = {field.name: value(inspect.type_info(field.type), number) for field in fields(Alert)}
    again = Beginning(number, NOW + number, "window", NOW + number)
    kept = {"evidence": at(burning(), NOW + number), "again": again, "recovery": Recovery(NOW, number, 9, 0.5)}
    return Alert(**values | kept | {"state": "firing"})


def value(kind: inspect.Type, number: int) -> Any:
    match kind:
        case inspect.UnionType(types=types):
            return value(next(one for one in types if not isinstance(one, inspect.NoneType)), number)
        case inspect.LiteralType(values=values):
            return sorted(values)[number % len(values)]
        case inspect.ListType():
            return [NOW + number]
        case inspect.BoolType():
            return number != 3
        case inspect.FloatType():
            return NOW + number
        case inspect.IntType():
            return number
        case _:
            return f"text {number}"


@pytest.mark.gen_test
async def test_every_field_is_added_changed_and_read(database_url: str) -> None:
    async with database(database_url) as db, db.act() as connection:
        ids = await store.add(connection, [filled(1), filled(2)])
        first, second = [replace(one, id=ids[one.objective]) for one in (filled(1), filled(2))]
        assert await store.listed(connection, "all") == [second, first]
        changed = replace(filled(3), id=first.id)
        await store.change(connection, [changed])
        begun_anew = replace(changed, **ANEW)  # it fired more often than before
        assert await store.listed(connection, "all") == [second, begun_anew]
        again = replace(filled(2), id=first.id, objective="text 4", fired_times=3)
        await store.change(connection, [again])
        assert await store.one(connection, first.id) == replace(again, **ANEW)
        kept = await store.outages(connection, [first.id])
        assert [(one.number, one.onset, one.acknowledged_by) for one in kept[first.id]] == [
            (1, NOW + 1, first.acknowledged_by),
            (2, NOW + 2, ""),
        ]
