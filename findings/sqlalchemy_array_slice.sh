#!/usr/bin/env bash
# Which slices of a PostgreSQL array survive SQLAlchemy's text().
#
# Guess: text() takes `:name` for a parameter where a name is meant, and knows PostgreSQL's own colons; as `x::int` is
# left alone, so is the colon of an array slice, `a[1:n]`, `a[:n]`, `a[low(n):n]`.
# What happens (SQLAlchemy 2.1.9): whether a slice is a slice depends on the character before its colon. After a letter
# or a digit (`a[1:n]`) it stays SQL; after a bracket, a parenthesis or a blank (`a[:n]`, `a[low(n):n]`, `a[1 :n]`)
# the upper bound becomes a parameter, though `a[1 : n]` with a blank behind the colon does not. Mostly that fails at
# once, for no value is given. Where the statement has a parameter of the column's name, as `WHERE n > :n` has, nothing
# fails: the colon goes with the name, and `a[:n]` is `a[2]`, one element of the array instead of its beginning.
# Why it matters: a statement that was tried in psql and works there may silently mean something else. Write the colon
# as `\:`, a blank behind it, or trim_array().
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check sqlalchemy==2.1.9 2>/dev/null
"$work/venv/bin/python" - <<'PY'
from importlib.metadata import version

from sqlalchemy import text
from sqlalchemy.dialects import postgresql

print("SQLAlchemy", version("sqlalchemy"))


def parameters(sql: str) -> list[str]:
    """The parameters that text() finds in a statement."""
    return sorted(text(sql).compile(dialect=postgresql.dialect()).params)


expected = {
    "SELECT x::int": [],
    "SELECT a[1:n]": [],
    "SELECT a[1 : n]": [],
    "SELECT a[1:low(n)]": [],
    "SELECT a[:n]": ["n"],
    "SELECT a[1 :n]": ["n"],
    "SELECT a[low(n):n]": ["n"],
    "SELECT a[b[1]:n]": ["n"],
    r"SELECT a[\:n]": [],
    "SELECT a[:n] FROM t WHERE n > :n": ["n"],
}
found = {sql: parameters(sql) for sql in expected}
for sql, names in found.items():
    print(f"{sql:<36} {', '.join(names) or 'no parameter'}")
silent = text("SELECT a[:n] FROM t WHERE n > :n").bindparams(n=2)
shown = str(silent.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))
print("with n = 2:", shown)
assert shown == "SELECT a[2] FROM t WHERE n > 2", shown
assert found == expected, "it behaves otherwise now"
PY
