"""Which statements of a migration hold a live table up, or break the version that still runs.

Two versions of Evenkeel run side by side during a deploy, and ingest must not wait
for a migration. Tables that the same migration creates are empty: anything goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern with the group `table`, what it does to a live table, and the way out."""

    pattern: re.Pattern[str]
    harm: str
    hint: str


def rule(pattern: str, harm: str, hint: str) -> Rule:
    return Rule(re.compile(pattern, re.IGNORECASE | re.DOTALL), harm, hint)


NAME = r'(?P<table>[\w."]+)'
ALTER = rf"^ALTER TABLE (?:IF EXISTS )?(?:ONLY )?{NAME} "
INDEX = r"(?:IF (?:NOT )?EXISTS )?"

RULES = (
    rule(
        rf'^CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY){INDEX}[\w"]* ?ON (?:ONLY )?{NAME}',
        "blocks every write while the index is built",
        "op.create_index(..., postgresql_concurrently=True) in op.get_context().autocommit_block().",
    ),
    rule(
        rf"^DROP INDEX (?!CONCURRENTLY){INDEX}{NAME}",
        "waits for every reader and makes writers wait behind it",
        "op.drop_index(..., postgresql_concurrently=True) in op.get_context().autocommit_block().",
    ),
    rule(
        rf"^REINDEX (?:TABLE|INDEX) (?!CONCURRENTLY){NAME}",
        "blocks every write while the index is built",
        "REINDEX ... CONCURRENTLY.",
    ),
    rule(
        ALTER + r"ADD COLUMN (?=.*\bNOT NULL\b)(?!.*\b(?:DEFAULT|IDENTITY)\b)",
        "fails on a table with rows, and refuses the inserts of the version that still runs",
        "Give the column a server_default.",
    ),
    rule(
        ALTER + r"ADD COLUMN .*(?:GENERATED|SERIAL|DEFAULT (?:random|clock_timestamp|gen_random_uuid|nextval))",
        "rewrites the table under a lock that stops readers too",
        "Add the column with a constant default or none, and fill it in batches.",
    ),
    rule(
        ALTER + r"ALTER COLUMN .* TYPE ",
        "rewrites the table under a lock that stops readers too",
        "Add a new column, write both, fill it in batches, then read it.",
    ),
    rule(
        ALTER + r"ALTER COLUMN .* SET NOT NULL",
        "reads the whole table under a lock that stops readers too",
        "ADD CONSTRAINT ... CHECK (... IS NOT NULL) NOT VALID, then VALIDATE CONSTRAINT in the next migration.",
    ),
    rule(
        ALTER + r"ADD (?:CONSTRAINT \S+ )?(?:FOREIGN KEY|CHECK)(?!.*NOT VALID)",
        "reads the whole table while writers wait",
        "Add it NOT VALID, then VALIDATE CONSTRAINT in the next migration.",
    ),
    rule(
        ALTER + r"ADD (?:CONSTRAINT \S+ )?(?:UNIQUE|PRIMARY KEY)(?! USING INDEX)",
        "builds an index under a lock that stops readers too",
        "Create the unique index concurrently, then ADD CONSTRAINT ... USING INDEX.",
    ),
    rule(
        ALTER + r"(?:RENAME|DROP COLUMN)|^DROP TABLE (?:IF EXISTS )?" + NAME.replace("table", "dropped"),
        "breaks the version that still runs",
        "Stop using it in one release and drop it in the next, marked RETIRED with the release that stopped.",
    ),
    rule(
        rf"^(?:LOCK TABLE|CLUSTER|VACUUM FULL|TRUNCATE)(?: TABLE)? {NAME}",
        "locks the table",
        "Do without it, or do it outside a migration.",
    ),
    rule(
        rf"^(?:UPDATE|DELETE FROM) (?:ONLY )?{NAME}",
        "holds its row locks until the migration ends, however many rows there are",
        "Fill or clear in batches from a scheduled job.",
    ),
)

CREATED = re.compile(r'^CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?([\w."]+)', re.IGNORECASE)
DOLLAR = re.compile(r"\$\w*\$")


def statements(script: str) -> list[str]:
    """The statements of a script, on one line each; a dollar-quoted body is not cut."""
    found, current, quote = [], "", ""
    for piece in re.split(r"(\$\w*\$|;)", script):
        if piece == ";" and not quote:
            found.append(current)
            current = ""
            continue
        if DOLLAR.fullmatch(piece):
            quote = "" if piece == quote else quote or piece
        current += piece
    return [" ".join(text.split()) for text in [*found, current] if text.strip()]


def broken(script: Iterable[str], retired: bool = False) -> list[tuple[str, Rule]]:
    """The statements that a rule forbids; `retired` allows what only an older version would miss."""
    fresh: set[str] = set()
    found = []
    for statement in script:
        created = CREATED.match(statement)
        if created:
            fresh.add(created[1].strip('"'))
        for one in RULES:
            match = one.pattern.search(statement)
            if match and not (retired and "version that still runs" in one.harm) and not touched(match) & fresh:
                found.append((statement, one))
    return found


def touched(match: re.Match[str]) -> set[str]:
    return {name.strip('"') for name in match.groupdict().values() if name}
