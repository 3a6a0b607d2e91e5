"""The SQL that a block of PL/pgSQL runs: its statements, and the texts of its EXECUTE."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pglast import ast, parse_plpgsql, parse_sql
from pglast.parser import ParseError

STATEMENT = 0  # RAW_PARSE_DEFAULT: an expression of PL/pgSQL that is a whole statement


def run_by(body: str) -> Iterator[str]:
    """The statements of a DO block; ParseError where it cannot be read, or puts one together at run time."""
    yield from queries(parse_plpgsql(f"DO $judged${body}$judged$"))


def queries(tree: Any) -> Iterator[str]:
    """The statements of a PL/pgSQL tree, and the texts that EXECUTE runs; ParseError where one is not written out."""
    if isinstance(tree, list):
        for one in tree:
            yield from queries(one)
    elif isinstance(tree, dict):
        for kind, value in tree.items():
            if kind == "PLpgSQL_expr":
                yield from [value["query"]] if value["parseMode"] == STATEMENT else []
            elif kind in ("PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors"):
                yield constant(value["query"]["PLpgSQL_expr"]["query"])
                yield from queries(value.get("body"))
            else:
                yield from queries(value)


def constant(expression: str) -> str:
    """The text that EXECUTE runs where it is written out; ParseError where it is put together at run time."""
    (raw,) = parse_sql(f"SELECT {expression}")
    select: Any = raw.stmt
    value = select.targetList[0].val
    if isinstance(value, ast.A_Const) and isinstance(value.val, ast.String):
        return str(value.val.sval)
    raise ParseError("it is put together at run time")
