"""Every field of a row survives to be added, changed and read, for every table that is read by its codec."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Column, Connection, Integer, MetaData, Table, create_engine, text

import server
from server.kernel.db import SQLALCHEMY, connect_args
from server.tables.codec import Rows, quoted
from tests.examples import examples
from tests.tables.values import rows_of


def codecs() -> dict[str, Rows[Any]]:
    """Every codec of the service, by its table and struct."""
    found: dict[str, Rows[Any]] = {}
    for module in pkgutil.walk_packages(server.__path__, "server."):
        if module.name.endswith("store"):
            members = vars(importlib.import_module(module.name)).items()
            found |= {f"{one.table.name}-{one.struct.__name__}": one for _, one in members if isinstance(one, Rows)}
    return found


CODECS = codecs()


@pytest.fixture(scope="module")
def connection(cluster: Any, template: str) -> Iterator[Connection]:
    """A connection to a database whose tables are copies without keys, so that any row may stand beside any other."""
    from tests.conftest import made_database

    for url in made_database(cluster, template):
        engine = create_engine(SQLALCHEMY, connect_args=connect_args(url))
        with engine.connect() as made:
            for table in {codec.table for codec in CODECS.values()}:
                made.execute(text(copy_of(table)))
            made.commit()
            yield made
        engine.dispose()


def copy_of(table: Table) -> str:
    """A table like it, in which what a codec leaves to the database may be left out."""
    written = [codec.fields for codec in CODECS.values() if codec.table is table]
    left = [one.name for one in table.columns if one.identity is None and any(one.name not in w for w in written)]
    nullable = "".join(f"ALTER TABLE {table.name} ALTER {quoted(one)} DROP NOT NULL;" for one in left)
    return f"CREATE TEMP TABLE {table.name} (LIKE {table.name} INCLUDING DEFAULTS INCLUDING IDENTITY); {nullable}"


def read(connection: Connection, codec: Rows[Any]) -> list[Any]:
    """Every row, as both forms of SELECT find it."""
    found = codec.every(connection.execute(text(f"SELECT {codec.columns} FROM {codec.table.name}")))
    assert codec.every(connection.execute(codec.select())) == found
    return found


def same(one: Any, other: Any, names: list[str]) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in names)


@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=examples(25))
@given(data=some.data())
def test_every_field_survives(name: str, connection: Connection, data: some.DataObject) -> None:
    codec = CODECS[name]
    rows = data.draw(some.lists(rows_of(codec), min_size=2, max_size=3))
    made = {field.attribute: field for field in codec.fields.values()}
    sent = [attribute for attribute, field in made.items() if field.column.identity is None]
    key = [attribute for attribute, field in made.items() if field.column.primary_key]
    connection.rollback()
    connection.execute(text(f"TRUNCATE {codec.table.name}"))  # or dead rows make room for new ones out of order
    connection.execute(text(codec.insert()), codec.given(rows))
    found = read(connection, codec)
    for attribute in sent:
        assert [getattr(row, attribute) for row in found] == [getattr(row, attribute) for row in rows], attribute
    if {made[attribute].name for attribute in key} != {column.name for column in codec.table.primary_key}:
        return
    kept = {attribute: getattr(found[0], attribute) for attribute in key}
    changed = replace(data.draw(rows_of(codec)), **kept)
    matches = " AND ".join(f"{codec.table.name}.{made[one].sql} = r.{made[one].sql}" for one in key)
    update = f"UPDATE {codec.table.name} SET {codec.assignments()} FROM {codec.record} WHERE {matches}"
    connection.execute(text(update), codec.given([changed]))
    others = [row for row in read(connection, codec) if not same(row, changed, key)]
    assert others == [row for row in found if not same(row, changed, key)]
    (now,) = [row for row in read(connection, codec) if same(row, changed, key)][:1]
    for attribute in made:
        assert getattr(now, attribute) == getattr(changed, attribute), attribute


def test_a_field_that_is_no_column_is_refused() -> None:
    class Odd(Struct):
        id: int
        colour: str

    with pytest.raises(KeyError, match="colour"):
        Rows(Table("odd", MetaData(), Column("id", Integer, primary_key=True)), Odd)
