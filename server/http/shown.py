"""Answers that show a row: the same fields by the same names, Unix seconds as times."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, fields

from server.kernel.times import Instant
from server.tables.codec import Rows

T = TypeVar("T", bound=Struct)


def shows(rows: Rows[Any], but: Iterable[str] = ()) -> Callable[[type[T]], type[T]]:
    """Give an answer the fields of a row without `but`, before its own; one of the same name is the answer's."""

    def shown(answer: type[T]) -> type[T]:
        own = {field.name: field.type for field in fields(answer)}
        row = {name: field.type for name, field in rows.fields.items() if name not in set(but)}
        times = {name: Instant if row[name] is float else Instant | None for name in row if rows.fields[name].unix}
        every = list((row | times | own).items())
        doc = {"__doc__": answer.__doc__}
        made: Any = msgspec.defstruct(answer.__name__, every, namespace=doc, module=answer.__module__)
        return made  # type: ignore[no-any-return]

    return shown


def answered(row: Struct, kind: type[T], **more: Any) -> T:
    """A row as an answer shows it, with `more`."""
    return msgspec.convert(asdict(row) | more, kind, strict=False, from_attributes=True)
