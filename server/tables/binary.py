"""Rows for a COPY into a table in PostgreSQL's binary format (documentation of COPY, "Binary Format")."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from itertools import chain, repeat
from typing import Any

from sqlalchemy import BigInteger, Boolean, DateTime, Integer, SmallInteger, Table

BEGIN = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
END = struct.pack(">h", -1)
EPOCH_2000 = 946_684_800_000_000  # microseconds: where PostgreSQL's times begin

Column = tuple[str, str]  # its name, and its width as `struct` writes it: empty where that varies

WIDTHS: dict[type, str] = {SmallInteger: "h", Integer: "i", BigInteger: "q", Boolean: "?", DateTime: "q"}
FIELDS = struct.Struct(">h")
LENGTH = struct.Struct(">i")
NULL = LENGTH.pack(-1)


def field_of(value: bytes) -> bytes:
    """A value of no fixed width, as a row has it."""
    return LENGTH.pack(len(value)) + value


def rows_in(rows: bytes) -> list[bytes]:
    """Each row of such rows."""
    found: list[bytes] = []
    begin = 0
    while begin < len(rows):
        (fields,) = FIELDS.unpack_from(rows, begin)
        end = begin + FIELDS.size
        for _ in range(fields):
            (length,) = LENGTH.unpack_from(rows, end)
            end += LENGTH.size + max(length, 0)
        found.append(rows[begin:end])
        begin = end
    return found


class Copied:
    """The columns of a table that a COPY gives: all but those that the database fills in, those of a fixed width first.

    Rows are made of whole columns by native calls, because outcomes come by the thousand.
    """

    def __init__(self, table: Table) -> None:
        columns = [column for column in table.columns if column.server_default is None]
        self.fixed = {column.name: WIDTHS[type(column.type)] for column in columns if type(column.type) in WIDTHS}
        self.times = {column.name for column in columns if isinstance(column.type, DateTime)}
        self.varying = [column.name for column in columns if column.name not in self.fixed]
        self.names = [*self.fixed, *self.varying]
        self.columns: tuple[Column, ...] = tuple((str(name), self.fixed.get(name, "")) for name in self.names)
        self.statement = f"COPY {table.name} ({', '.join(self.names)}) FROM STDIN (FORMAT BINARY)"

    def rows(self, columns: Mapping[str, Iterable[Any] | None]) -> bytes:
        """The rows, without BEGIN and END. Times are microseconds since 1970; what has no fixed width comes from
        `field_of`, or is NULL. None for a column of a fixed width: null in every row."""
        form = ">h"
        given: list[Iterable[Any]] = [repeat(len(self.names))]
        for name, width in self.fixed.items():
            values = columns[name]
            if values is None:
                form += "i"
                given += [repeat(-1)]
                continue
            if name in self.times:
                values = [at - EPOCH_2000 for at in values]
            form += f"i{width}"
            given += [repeat(struct.calcsize(f">{width}")), values]
        heads = map(struct.Struct(form).pack, *given)
        rest = (columns[name] or () for name in self.varying)
        return b"".join(chain.from_iterable(zip(heads, *rest, strict=True)))
