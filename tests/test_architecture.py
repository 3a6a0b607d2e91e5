"""Holds DESIGN's "Who may import whom", by reading the imports of every file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("server", "dashboard", "checks", "migrations", "scripts", "benchmarks")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

# The composition root may know both the pages and the checks.
ROOTS = {"server/app.py"}

# What each domain may import of the others; all may use auth, for the audit trail. Incidents: later.
DOMAINS: dict[str, set[str]] = {
    "auth": set(),
    "ingest": {"auth"},
    "live": {"auth", "ingest"},
    "slo": {"auth", "ingest", "live"},
    "alerts": {"auth", "live", "slo"},
    "notify": {"auth", "live", "slo", "alerts"},
    "gate": {"auth", "live", "slo", "alerts", "changes"},
    "review": {"auth", "live", "slo", "changes"},
    "config": {"auth", "changes"},
    "changes": {"auth"},
}
# Pure files that anybody may import.
SHARED_PURE = {
    "server.live.pairs",
    "server.live.sketch",
    "server.picture.picture",
    "server.slo.model.status",
    "server.config.limits",
    "server.auth.identity",
}

SQL = ("sqlalchemy", "psycopg")
REDIS = ("redis",)

LINES, FUNCTION, METHOD = 400, 40, 25  # a file is one subject; functions stay under 30 and methods of handlers under 15


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    return name_of(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(path: Path, typing: bool = False) -> frozenset[str]:
    """The modules that a file imports, also inside functions; those for annotations only where `typing`."""
    found: set[str] = set()
    skipped = set() if typing else {id(node) for block in type_checking(tree_of(path)) for node in ast.walk(block)}
    for node in ast.walk(tree_of(path)):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: relative import"
            found |= {submodule(node.module or "", alias.name) for alias in node.names}
    return frozenset(found)


def type_checking(tree: ast.Module) -> Iterator[ast.If]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield node


def submodule(module: str, name: str) -> str:
    """`from server import errors` names the module server.errors; `from server.errors import ApiError` does not."""
    path = ROOT / (f"{module}.{name}".replace(".", "/"))
    return f"{module}.{name}" if path.with_suffix(".py").exists() or path.is_dir() else module


def package_of(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def domain_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "server" and len(parts) > 2 and parts[1] in DOMAINS else None


def uses(path: Path, libraries: tuple[str, ...], typing: bool = False) -> bool:
    return any(package_of(module) in libraries for module in imports(path, typing))


def holds_sql(path: Path) -> bool:
    """store.py, *_store.py, db.py, tables, migrations: where SQL may stand."""
    named = path.stem in ("store", "db") or path.stem.endswith("_store")
    return named or "tables" in path.parts or "migrations" in path.parts


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_server_does_not_know_the_pages_or_the_checks(path: Path) -> None:
    mine = package_of(module_of(path))
    others = {package_of(module) for module in imports(path)}
    if mine == "server" and name_of(path) not in ROOTS:
        assert not others & {"dashboard", "checks", "benchmarks", "scripts"}
    if mine == "checks":
        assert "dashboard" not in others
    if mine == "dashboard":
        assert "checks" not in others


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_domains_point_one_way(path: Path) -> None:
    mine = domain_of(module_of(path))
    if mine is None:
        return
    for module in imports(path) - SHARED_PURE:
        other = domain_of(module)
        assert other in (None, mine) or other in DOMAINS[mine], f"{mine} may not import {module}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_handlers_and_pages_import_neither_sql_nor_redis(path: Path) -> None:
    page = package_of(module_of(path)) == "dashboard"
    if path.stem == "handlers" or path.stem.endswith("_handler") or page:
        assert not uses(path, (*SQL, *REDIS)), "decode, call one function, write"


PURE_IMPORTS = ("msgspec", "yaml")


@cache
def pure(path: Path) -> bool:
    """Whether a domain's file imports the standard library, errors and other pure files only."""
    import sys

    for module in imports(path):
        top = package_of(module)
        if top in sys.stdlib_module_names and top not in ("asyncio", "socket", "subprocess", "threading"):
            continue
        if top in PURE_IMPORTS or module in ("server", "server.kernel.errors", "server.kernel.ids"):
            continue
        source = ROOT / (module.replace(".", "/") + ".py")
        if not (top == "server" and source.exists() and pure(source)):
            return False
    return True


# The rules and the maths. A file that stops being pure has to be taken off this list on purpose.
PURE = (
    "server/kernel/text.py",
    "server/selfcheck/findings.py",
    "server/kernel/ids.py",
    "server/live/pairs.py",
    "server/live/sketch.py",
    "server/picture/picture.py",
    "server/live/service.py",
    "server/live/windows.py",
    "server/live/deltas.py",
    "server/review/csv_form.py",
    "server/review/markdown.py",
    "server/review/monthly.py",
    "server/slo/ledger/history.py",
    "server/slo/ledger/months.py",
    "server/slo/policy/policy.py",
    "server/slo/model/objective.py",
    "server/slo/model/budget.py",
    "server/slo/model/burn.py",
    "server/slo/model/counts.py",
    "server/slo/model/status.py",
    "server/slo/model/tiers.py",
    "server/slo/model/budget_policy.py",
    "server/slo/model/evidence.py",
    "server/alerts/alert.py",
    "server/gate/answer.py",
    "server/gate/budget.py",
    "server/gate/rule.py",
    "server/gate/returns.py",
    "server/config/loosening.py",
    "server/notify/addresses.py",
    "server/notify/message.py",
    "server/notify/payloads.py",
    "server/notify/retry.py",
    "server/notify/signing.py",
    "server/notify/target.py",
    "server/config/limits.py",
    "server/config/guard.py",
    "server/config/revisions.py",
    "server/config/staged.py",
    "server/ingest/outcome.py",
    "server/ingest/decode.py",
)


@pytest.mark.parametrize("name", PURE)
def test_the_rules_are_pure(name: str) -> None:
    assert pure(ROOT / name), sorted(imports(ROOT / name))


CLOCKS = ("time.time", "time.monotonic", "datetime.now", "datetime.utcnow", "time.time_ns")


@pytest.mark.parametrize("name", [name for name in PURE if name != "server/kernel/ids.py"])
def test_time_comes_in_as_an_argument(name: str) -> None:
    calls = {ast.unparse(node.func) for node in ast.walk(tree_of(ROOT / name)) if isinstance(node, ast.Call)}
    assert not calls & set(CLOCKS)


STATEMENT = ("SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "CREATE TABLE ", "ALTER TABLE ", "COPY ")


# Where SQL stands outside a store, each with its reason.
SQL_ELSEWHERE = {
    "server/kernel/bus.py": "NOTIFY and LISTEN are the bus",
    "server/process/command_database.py": "looks who uses the database itself",
    "server/process/embedded.py": "makes the database itself",
    "server/process/migrate.py": "reads Alembic's own table",
}


@pytest.mark.parametrize("path", [path for path in FILES if "server" in path.parts], ids=name_of)
def test_sql_stands_in_stores(path: Path) -> None:
    if holds_sql(path) or name_of(path) in SQL_ELSEWHERE:
        return
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not node.value.lstrip().startswith(STATEMENT), f"line {node.lineno}: {node.value[:60]!r}"
    bound = {module for module in imports(path) if package_of(module) == "sqlalchemy"}
    assert not bound - {"sqlalchemy.exc", "sqlalchemy.ext.asyncio", "sqlalchemy.pool"}, bound


REDIS_PLACES = ("server/kernel/bus.py", "server/process/health.py", "server/ingest/throttle.py")


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_redis_stands_where_signals_and_shared_limits_are(path: Path) -> None:
    if name_of(path) not in REDIS_PLACES and package_of(module_of(path)) != "benchmarks":
        assert not uses(path, REDIS)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_stay_readable(path: Path) -> None:
    assert path.stem not in ("utils", "util", "helpers", "common", "misc")
    generated = "migrations" in path.parts
    if not generated:
        assert len(path.read_text().splitlines()) <= LINES, "split it by subject"
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not generated:
            lines = (node.end_lineno or 0) - node.lineno + 1 - lines_of_text(node)
            assert lines <= FUNCTION, f"{node.name} has {lines} lines"


def lines_of_text(function: ast.AST) -> int:
    """Lines inside docstrings and SQL, which are read as a whole."""
    texts = [n for n in ast.walk(function) if isinstance(n, ast.JoinedStr | ast.Constant) and n.end_lineno]
    return len({line for text in texts for line in range(text.lineno, text.end_lineno or 0)})


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_handler_methods_stay_short(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in ("get", "post", "put", "patch"):
            lines = (node.end_lineno or 0) - node.body[0].lineno + 1
            assert lines <= METHOD, f"{node.name} has {lines} lines: decode, call one function, write"


@pytest.mark.parametrize("path", [path for path in FILES if path.stat().st_size], ids=name_of)
def test_every_file_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree_of(path)), "one line: what it is for"
