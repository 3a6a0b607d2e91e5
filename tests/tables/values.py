"""Any value of a struct's field, as its column can hold it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import strategies as some
from msgspec import Struct, inspect
from sqlalchemy import Integer, SmallInteger

from server.tables.codec import Field, Rows

SINCE = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
UNTIL = int(datetime(2040, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000

MICROSECONDS = some.integers(SINCE, UNTIL)
UNIX = MICROSECONDS.map(lambda at: at / 1_000_000)
TIMES = MICROSECONDS.map(lambda at: datetime.fromtimestamp(at / 1_000_000, UTC))
WORDS = some.text(some.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
BITS = {SmallInteger: 15, Integer: 31}
JSON = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**53), 2**53) | WORDS,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)


def rows_of(codec: Rows[Any]) -> some.SearchStrategy[Any]:
    """A row with a value in every field, None also where the column may be null."""
    made = {}
    for info in msgspec.structs.fields(codec.struct):
        field = codec.fields.get(info.encode_name)
        made[info.name] = values_of(inspect.type_info(info.type)) if field is None else values_in(field, info.type)
    return some.builds(codec.struct, **made)


def values_in(field: Field, kind: Any) -> some.SearchStrategy[Any]:
    """What a column can hold."""
    if field.unix:
        return UNIX if not field.column.nullable else some.none() | UNIX
    found = values_of(inspect.type_info(kind), BITS.get(type(field.column.type), 62))
    return found if field.column.nullable else found.filter(lambda value: value is not None)


def values_of(kind: inspect.Type, bits: int = 53) -> some.SearchStrategy[Any]:
    """Any value of a type; whole numbers of so many bits."""
    match kind:
        case inspect.UnionType(types=types):
            return some.one_of(*(values_of(one, bits) for one in types))
        case inspect.LiteralType(values=values):
            return some.sampled_from(sorted(values))
        case inspect.StructType(cls=cls):
            return struct_of(cls)
        case inspect.ListType(item_type=item):
            return some.lists(values_of(item), max_size=3)
        case inspect.VarTupleType(item_type=item):
            return some.lists(values_of(item), max_size=3).map(tuple)
        case inspect.FrozenSetType(item_type=item):
            return some.frozensets(values_of(item), max_size=3)
        case inspect.DictType(key_type=key, value_type=value):
            return some.dictionaries(values_of(key), values_of(value), max_size=3)
        case inspect.IntType():
            return some.integers(-(2**bits), 2**bits - 1)
        case _:
            return PLAIN[type(kind)]


PLAIN: dict[type[inspect.Type], some.SearchStrategy[Any]] = {
    inspect.AnyType: JSON,
    inspect.NoneType: some.none(),
    inspect.BoolType: some.booleans(),
    inspect.FloatType: some.floats(-1e12, 1e12),
    inspect.StrType: WORDS,
    inspect.BytesType: some.binary(max_size=40),
    inspect.DateTimeType: TIMES,
}


def struct_of(cls: type[Struct]) -> some.SearchStrategy[Any]:
    """Any value of a struct."""
    infos = msgspec.structs.fields(cls)
    return some.builds(cls, **{info.name: values_of(inspect.type_info(info.type)) for info in infos})
