"""Which statements of a migration hold a live table up, or break the version that still runs.

Two versions of Evenkeel run side by side during a deploy, and ingest must not wait
for a migration. What takes a lock for an instant passes (ADD COLUMN does), what
works under one or waits with everybody behind it does not. Tables that the same
migration creates are empty: anything goes.

Judged is the parsed tree, by pglast 8.8 with the grammar of PostgreSQL 18, also of
what a DO block runs. The locks are those of its documentation: explicit-locking.html,
sql-altertable.html ("Notes"), sql-createindex.html, sql-createtrigger.html, sql-reindex.html.
pglast comes with the extra `dev`: nothing but schema_policy may import this file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pglast import ast, parse_sql
from pglast.enums import AlterTableType as Alter
from pglast.enums import ConstrType, NullTestType, ObjectType
from pglast.parser import ParseError

from checks.plpgsql import run_by


@dataclass(frozen=True, slots=True)
class LockFault:
    """What a statement does to a live table, and the way out. `old`: only a version that still runs would notice."""

    harm: str
    hint: str
    old: bool = False


INDEX = LockFault(
    "blocks every write while the index is built",
    "op.create_index(..., postgresql_concurrently=True) in op.get_context().autocommit_block(); "
    "for a constraint then ADD CONSTRAINT ... USING INDEX.",
)
DROP_INDEX = LockFault(
    "waits for every reader and makes writers wait behind it",
    "op.drop_index(..., postgresql_concurrently=True) in op.get_context().autocommit_block().",
)
REWRITE = LockFault(
    "rewrites the table under a lock that stops readers too",
    "Add a new column with a constant default or none, write both, fill it in batches from a job, then read it.",
)
EMPTY = LockFault(
    "fails on a table with rows, and refuses the inserts of the version that still runs",
    "Give the column a server_default.",
)
SCAN = LockFault(
    "reads the whole table while writers wait",
    "Add the constraint NOT VALID, then VALIDATE CONSTRAINT in a transaction of its own; "
    "SET NOT NULL after a CHECK (... IS NOT NULL) that was validated so.",
)
OLD = LockFault(
    "breaks the version that still runs",
    "Stop using it in one release and drop it in the next, marked RETIRED with the release that stopped.",
    old=True,
)
LOCK = LockFault("locks the table", "Do without it, or do it outside a migration.")
ROWS = LockFault(
    "holds its row locks until the migration ends, however many rows there are",
    "Fill or clear in batches from a scheduled job, or bound it: WHERE id IN (SELECT ... LIMIT 1000).",
)
TRIGGER = LockFault(
    "waits with every write behind it, and then runs at each write of the version that still runs",
    "Do it in the code that writes.",
)
UNSEEN = LockFault(
    "runs what cannot be judged here",
    "Write the statements out; what depends on the data belongs in a job.",
)

# Take their lock for an instant. What is not here has to be looked up and put here on purpose.
SHORT = {
    Alter.AT_ColumnDefault,
    Alter.AT_DropNotNull,
    Alter.AT_DropExpression,
    Alter.AT_SetStatistics,
    Alter.AT_SetOptions,
    Alter.AT_ResetOptions,
    Alter.AT_SetStorage,
    Alter.AT_SetCompression,
    Alter.AT_DropConstraint,
    Alter.AT_AlterConstraint,
    Alter.AT_ChangeOwner,
    Alter.AT_SetRelOptions,
    Alter.AT_ResetRelOptions,
    Alter.AT_ReplicaIdentity,
    Alter.AT_AddIdentity,
    Alter.AT_SetIdentity,
    Alter.AT_DropIdentity,
    Alter.AT_EnableTrig,
    Alter.AT_EnableAlwaysTrig,
    Alter.AT_EnableReplicaTrig,
    Alter.AT_DisableTrig,
}
PARTITIONED = {"outcomes"}  # itself without rows: an index on it ONLY is made at once
SERIAL = {"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"}
STABLE = {"now", "transaction_timestamp", "statement_timestamp", "jsonb_build_object", "jsonb_build_array"}


@dataclass(slots=True)
class LockFacts:
    """What a migration has done so far."""

    fresh: set[str] = field(default_factory=set)  # tables and indexes that it made, which are empty
    held: set[str] = field(default_factory=set)  # tables that its transaction has locked
    not_null: dict[tuple[str, str], str] = field(default_factory=dict)  # (table, CHECK): the column it is about
    proved: set[tuple[str, str]] = field(default_factory=set)  # columns that a valid CHECK says are not null


def broken(script: Iterable[str], retired: bool = False) -> list[tuple[str, LockFault]]:
    """The statements that are refused, each with its worst; `retired` allows what only an older version would miss."""
    seen = LockFacts()
    found = []
    for text in script:
        try:
            parsed = list(statements(text))
        except ParseError:
            found.append((" ".join(text.split()), UNSEEN))
            continue
        for statement, nodes in parsed:
            faults = [fault for node in nodes for fault in judged(node, seen) if not (retired and fault.old)]
            if faults:
                found.append((statement, min(faults, key=lambda fault: fault.old)))
    return found


def statements(text: str) -> Iterator[tuple[str, Iterator[Any]]]:
    """Each statement on one line, and every node of its tree."""
    encoded = text.encode()
    for raw in parse_sql(text):
        start, length = raw.stmt_location or 0, raw.stmt_len or len(encoded)
        yield " ".join(encoded[start : start + length].decode().split()), walk(raw.stmt)


def walk(thing: Any) -> Iterator[Any]:
    """A node and all beneath."""
    if isinstance(thing, tuple):
        for one in thing:
            yield from walk(one)
    elif isinstance(thing, ast.Node):
        yield thing
        for name in thing:
            yield from walk(getattr(thing, name))


def judged(node: Any, seen: LockFacts) -> Iterator[LockFault]:
    """What is wrong with one node of a statement's tree."""
    rule = RULES.get(type(node))
    if rule is not None:
        yield from rule(node, seen)


def name_of(relation: Any) -> str:
    """A table's name; in the schema public where it says none."""
    return f"{relation.schemaname or 'public'}.{relation.relname}"


def dotted(parts: Iterable[Any]) -> str:
    """The same of a name in pieces."""
    names = [part.sval for part in parts]
    return ".".join(names if len(names) > 1 else ["public", *names])


def live(relations: Iterable[Any], seen: LockFacts) -> bool:
    """Whether one of them was there before the migration."""
    return any(name_of(relation) not in seen.fresh for relation in relations)


def created(node: Any, seen: LockFacts) -> Iterator[LockFault]:
    if node.partbound is not None and live(node.inhRelations, seen):
        yield LOCK  # ACCESS EXCLUSIVE on the parent; ATTACH PARTITION takes less
    if not node.if_not_exists:
        seen.fresh.add(name_of(node.relation))


def created_as(node: Any, seen: LockFacts) -> Iterator[LockFault]:
    if not node.if_not_exists:
        seen.fresh.add(name_of(node.into.rel))
    yield from ()


def indexed(node: Any, seen: LockFacts) -> Iterator[LockFault]:
    if not live([node.relation], seen):
        if node.idxname:
            seen.fresh.add(f"{node.relation.schemaname or 'public'}.{node.idxname}")
    elif not node.concurrent and not (node.relation.relname in PARTITIONED and not node.relation.inh):
        yield INDEX


def reindexed(node: Any, seen: LockFacts) -> Iterator[LockFault]:
    concurrently = any(option.defname == "concurrently" for option in node.params or ())
    if not concurrently and (node.relation is None or live([node.relation], seen)):
        yield INDEX


def dropped(node: Any, seen: LockFacts) -> Iterator[LockFault]:
    if node.removeType in (ObjectType.OBJECT_TRIGGER, ObjectType.OBJECT_RULE, ObjectType.OBJECT_POLICY):
        return  # an instant, and nobody asks for it by name
    names = [one if isinstance(one, tuple) else () for one in node.objects]
    if all(name and dotted(name) in seen.fresh for name in names):
        return
    if node.removeType == ObjectType.OBJECT_INDEX:
        if not node.concurrent:
            yield DROP_INDEX
    else:
        yield OLD


def renamed(node: Any, seen: LockFacts) -> Iterator[LockFault]:
    unnamed = (ObjectType.OBJECT_INDEX, ObjectType.OBJECT_TRIGGER)  # nobody asks for one by its name
    if node.renameType not in unnamed and (node.relation is None or live([node.relation], seen)):
        yield OLD


def moved(node: Any, seen: LockFacts) -> Iterator[LockFault]:
    if node.relation is None or live([node.relation], seen):
        yield OLD


def enum_altered(node: Any, seen: LockFacts) -> Iterator[LockFault]:
    if node.oldVal:
        yield OLD


def locked(node: Any, seen: LockFacts) -> Iterator[LockFault]:
    if live(node.relations, seen):
        yield LOCK


def one_locked(node: Any, seen: LockFacts) -> Iterator[LockFault]:
    if node.relation is None or live([node.relation], seen):
        yield LOCK


def vacuumed(node: Any, seen: LockFacts) -> Iterator[LockFault]:
    if any(option.defname == "full" for option in node.options or ()):
        yield LOCK


def refreshed(node: Any, seen: LockFacts) -> Iterator[LockFault]:
    if not node.concurrent and live([node.relation], seen):
        yield LOCK


def written(node: Any, seen: LockFacts) -> Iterator[LockFault]:
    """UPDATE, DELETE and MERGE, wherever they stand."""
    if live([node.relation], seen) and not bounded(getattr(node, "whereClause", None)):
        yield ROWS


def bounded(where: Any) -> bool:
    """Whether a condition takes a limited number of rows."""
    found = [node for node in walk(where) if isinstance(node, ast.SubLink)]
    return any(getattr(node.subselect, "limitCount", None) is not None for node in found)


def read(node: Any, seen: LockFacts) -> Iterator[LockFault]:
    if node.lockingClause and node.limitCount is None:
        yield ROWS


def triggered(node: Any, seen: LockFacts) -> Iterator[LockFault]:
    if live([node.relation], seen):
        yield TRIGGER


def unseen(node: Any, seen: LockFacts) -> Iterator[LockFault]:
    yield UNSEEN


def ended(node: Any, seen: LockFacts) -> Iterator[LockFault]:
    """COMMIT, as autocommit_block() writes it: no lock is held any more."""
    seen.held.clear()
    yield from ()


def altered(node: Any, seen: LockFacts) -> Iterator[LockFault]:
    table = name_of(node.relation)
    if table in seen.fresh:
        return
    for command in node.cmds:
        yield from of_command(command, table, seen)
    if any(command.subtype != Alter.AT_ValidateConstraint for command in node.cmds):
        seen.held.add(table)


def of_command(command: Any, table: str, seen: LockFacts) -> Iterator[LockFault]:
    """What is wrong with one action of ALTER TABLE."""
    kind, given = command.subtype, command.def_
    if kind == Alter.AT_AddColumn:
        yield from of_column(given)
    elif kind == Alter.AT_AddConstraint:
        yield from of_constraint(given, table, seen)
    elif kind == Alter.AT_ValidateConstraint:
        if table in seen.held:
            yield SCAN  # under the lock that ADD CONSTRAINT took in this transaction
        elif (table, command.name) in seen.not_null:
            seen.proved.add((table, seen.not_null[table, command.name]))
    elif kind == Alter.AT_SetNotNull:
        if (table, command.name) not in seen.proved:
            yield SCAN
    elif kind == Alter.AT_DropColumn:
        yield OLD
    elif kind == Alter.AT_AttachPartition:
        if live([given.name], seen):
            yield SCAN
    elif kind not in SHORT:
        yield REWRITE


def of_column(column: Any) -> Iterator[LockFault]:
    """What is wrong with a column that is added to a table with rows."""
    constraints = {one.contype: one for one in column.constraints or ()}
    default = constraints.get(ConstrType.CONSTR_DEFAULT)
    generated = constraints.get(ConstrType.CONSTR_GENERATED)
    numbered = column.typeName.names[-1].sval in SERIAL or ConstrType.CONSTR_IDENTITY in constraints
    differs = default is not None and volatile(default.raw_expr)
    stored = generated is not None and generated.generated_kind != "v"
    if numbered or differs or stored:
        yield REWRITE
    elif ConstrType.CONSTR_NOTNULL in constraints and default is None and generated is None:
        yield EMPTY
    if {ConstrType.CONSTR_UNIQUE, ConstrType.CONSTR_PRIMARY} & set(constraints):
        yield INDEX
    # A foreign key of a column without a default is not looked at: it is null in every row.
    if ConstrType.CONSTR_CHECK in constraints or (ConstrType.CONSTR_FOREIGN in constraints and default is not None):
        yield SCAN


def volatile(expression: Any) -> bool:
    """Whether a default may differ from row to row: it calls anything that is not known to be stable."""
    calls: list[Any] = [node for node in walk(expression) if isinstance(node, ast.FuncCall)]
    return any(call.funcname[-1].sval not in STABLE for call in calls)


def of_constraint(constraint: Any, table: str, seen: LockFacts) -> Iterator[LockFault]:
    """What is wrong with a constraint that is added to a table with rows."""
    kind = constraint.contype
    if kind in (ConstrType.CONSTR_UNIQUE, ConstrType.CONSTR_PRIMARY, ConstrType.CONSTR_EXCLUSION):
        if not constraint.indexname:
            yield INDEX
    elif not constraint.skip_validation:
        yield SCAN
    test = constraint.raw_expr
    if isinstance(test, ast.NullTest) and test.nulltesttype == NullTestType.IS_NOT_NULL:
        column: Any = test.arg
        seen.not_null[table, constraint.conname] = column.fields[-1].sval


def block(node: Any, seen: LockFacts) -> Iterator[LockFault]:
    """A DO block: every statement that it has, and every text that it runs."""
    language = next((one.arg.sval for one in node.args if one.defname == "language"), "plpgsql")
    body = next(one.arg.sval for one in node.args if one.defname == "as")
    if language != "plpgsql":
        yield UNSEEN
        return
    try:
        for text in run_by(body):
            for _, nodes in statements(text):
                for inner in nodes:
                    yield from judged(inner, seen)
    except ParseError:
        yield UNSEEN


RULES: dict[type, Callable[[Any, LockFacts], Iterator[LockFault]]] = {
    ast.AlterEnumStmt: enum_altered,
    ast.AlterObjectSchemaStmt: moved,
    ast.AlterTableMoveAllStmt: unseen,
    ast.AlterTableStmt: altered,
    ast.CallStmt: unseen,
    ast.ClusterStmt: one_locked,
    ast.CreateStmt: created,
    ast.CreateTableAsStmt: created_as,
    ast.CreateTrigStmt: triggered,
    ast.DeleteStmt: written,
    ast.DoStmt: block,
    ast.DropStmt: dropped,
    ast.IndexStmt: indexed,
    ast.LockStmt: locked,
    ast.MergeStmt: written,
    ast.RefreshMatViewStmt: refreshed,
    ast.ReindexStmt: reindexed,
    ast.RenameStmt: renamed,
    ast.RuleStmt: triggered,
    ast.SelectStmt: read,
    ast.TransactionStmt: ended,
    ast.TruncateStmt: locked,
    ast.UpdateStmt: written,
    ast.VacuumStmt: vacuumed,
}
