"""The rows of a table as a struct: a field is named like its column, and no store lists the fields again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar, get_args

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo
from sqlalchemy import Column, ColumnElement, DateTime, LargeBinary, Result, Row, Select, Table, literal_column, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB

T = TypeVar("T", bound=Struct)

DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
quoted = DIALECT.identifier_preparer.quote


class Field:
    """One field of a struct and the column of its name: how it is read, and how it arrives in a statement."""

    def __init__(self, column: Column[Any], info: FieldInfo) -> None:
        self.attribute = info.name
        self.name = info.encode_name
        self.type = info.type
        self.column = column
        self.sql = quoted(self.name)
        self.unix = isinstance(column.type, DateTime) and float in (info.type, *get_args(info.type))
        self.binary = isinstance(column.type, LargeBinary)
        self.json = msgspec.json.Decoder(info.type) if isinstance(column.type, JSONB) else None

    def read(self, table: str) -> str:
        """The column of a table, or of what a statement calls it, as the field wants it."""
        column = f"{table}.{self.sql}"
        if self.unix:
            return f"extract(epoch FROM {column})::float8"
        return column if self.json is None else f"{column}::text"

    @property
    def arrives(self) -> str:
        """Its name and type in the rows of a statement, which come as JSON."""
        kind = "float8" if self.unix else "text" if self.binary else self.column.type.compile(DIALECT)
        return f"{self.sql} {kind}"

    @property
    def written(self) -> str:
        """What a row of a statement has, as the column wants it."""
        given = f"r.{self.sql}"
        if self.unix:
            return f"to_timestamp({given})"
        return f"decode({given}, 'base64')" if self.binary else given


class Rows(Generic[T]):
    """One table, or what a struct shows of it. Statements write many rows at once, bound by `given`.

    A field of a time is Unix seconds where it is a float. A column of JSON is read straight into the field's type.
    `besides` has the SQL of fields that are no columns.
    """

    def __init__(self, table: Table, struct: type[T], besides: Mapping[str, str] | None = None) -> None:
        self.table = table
        self.struct = struct
        self.besides = dict(besides or {})
        infos = [info for info in msgspec.structs.fields(struct) if info.encode_name not in self.besides]
        self.fields = {info.encode_name: Field(table.c[info.encode_name], info) for info in infos}
        self.columns = self.of(quoted(table.name))
        self.selected: list[ColumnElement[Any]] = [
            literal_column(sql).label(name) for name, sql in self._read(quoted(table.name)).items()
        ]
        arriving = ", ".join(field.arrives for field in self.fields.values())
        self.record = f"jsonb_to_recordset(CAST(:rows AS jsonb)) AS r({arriving})"
        self._decoders = {name: field.json for name, field in self.fields.items() if field.json is not None}

    def of(self, table: str) -> str:
        """The columns for a SELECT or a RETURNING in which the table is called so."""
        return ", ".join(f"{sql} AS {quoted(name)}" for name, sql in self._read(table).items())

    def select(self) -> Select[Any]:
        """A SELECT of every row."""
        return select(*self.selected).select_from(self.table)

    def _read(self, table: str) -> dict[str, str]:
        return {name: field.read(table) for name, field in self.fields.items()} | self.besides

    def insert(self, but: Iterable[str] = ()) -> str:
        """An INSERT of the rows given, without what the database numbers and without `but`."""
        left_out = set(but)
        fields = [
            field for name, field in self.fields.items() if name not in left_out and field.column.identity is None
        ]
        names, values = ", ".join(field.sql for field in fields), ", ".join(field.written for field in fields)
        return f"INSERT INTO {quoted(self.table.name)} ({names}) SELECT {values} FROM {self.record}"

    def assignments(self, but: Iterable[str] = ()) -> str:
        """The SET of an UPDATE … FROM {record}: every column but the key and `but`."""
        left_out = set(but)
        fields = [f for name, f in self.fields.items() if name not in left_out and not f.column.primary_key]
        return ", ".join(f"{field.sql} = {field.written}" for field in fields)

    def given(self, rows: Sequence[T]) -> dict[str, Any]:
        """The rows as a statement takes them."""
        return {"rows": msgspec.json.encode(rows).decode()}

    def read(self, row: Row[Any]) -> T:
        """A row of `columns`; raises msgspec.MsgspecError where it does not fit the struct."""
        values = {str(name): value for name, value in row._mapping.items()}
        for name, decoder in self._decoders.items():
            if values[name] is not None:
                values[name] = decoder.decode(values[name])
        return msgspec.convert(values, self.struct)

    def every(self, found: Result[Any]) -> list[T]:
        """All rows of a result."""
        return [self.read(row) for row in found]

    def one(self, found: Result[Any]) -> T | None:
        """The only row of a result; None where there is none."""
        row = found.one_or_none()
        return None if row is None else self.read(row)
