"""Holds DESIGN's "Who may import whom", by reading the imports of every file: a dozen rules, each over all files."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("server", "dashboard", "checks", "migrations", "scripts", "benchmarks")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

# The composition root may know both the pages and the checks.
ROOTS = {"server/app.py"}

# What each domain may import of the others; all may use auth, for the audit trail.
DOMAINS: dict[str, set[str]] = {
    "auth": set(),
    "receivers": set(),
    "ingest": {"auth", "receivers"},
    "live": {"auth", "ingest"},
    "slo": {"auth", "ingest", "live", "changes"},
    "alerts": {"auth", "live", "slo"},
    "signals": {"alerts", "auth", "receivers", "slo"},
    "picture": {"auth", "ingest", "live", "slo", "alerts"},
    "notify": {"auth", "live", "slo", "alerts"},
    "gate": {"auth", "live", "slo", "alerts", "changes", "picture"},
    "review": {"alerts", "auth", "live", "slo", "changes"},
    "maintenance": {"auth", "live", "slo", "alerts", "changes", "notify"},
    "incidents": {"auth", "live", "slo", "alerts", "changes", "picture", "notify", "signals"},
    "config": {"auth", "changes"},
    "changes": {"auth", "receivers"},
    "drill": set(),
}
# Pure files that anybody may import.
SHARED_PURE = {
    "server.live.pairs",
    "server.live.sketch",
    "server.config.lever",
    "server.config.registry",
    "server.config.staged",
    "server.auth.identity",
    "server.ingest.item_claims",
    "server.ingest.native",
    "server.ingest.outcome",
    "server.slo.model.comparison",
}
# What the kernel may import of ours: itself, and nothing above it.
KERNEL = "server.kernel"

SQL = ("sqlalchemy", "psycopg")
REDIS = ("redis",)
REDIS_PLACES = {
    "server/kernel/redis_client.py"
}  # server/kernel/bus.py, server/ingest/throttle.py and doctor use what it makes
STATEMENT = ("SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "CREATE TABLE ", "ALTER TABLE ", "COPY ")
# Where SQL stands outside a store, each with its reason.
SQL_ELSEWHERE = {
    "server/kernel/bus.py": "NOTIFY and LISTEN are the bus",
    "server/process/database_command.py": "reads an address as libpq does",
    "server/process/embedded.py": "makes the database itself",
    "server/process/migrate.py": "reads Alembic's own table",
}

FILE, FUNCTION, METHOD = 400, 40, 25  # lines: a subject, what is read at once, "decode, call one function, write"

# The rules and the maths: whole folders, and files. One that stops being pure is taken off on purpose.
PURE_FOLDERS = (
    "server/notify/kinds",
    "server/receivers/access_log",
    "server/receivers/otlp",
    "server/slo/model",
)
PURE_FILES = (
    "server/alerts/alert.py",
    "server/changes/flags.py",
    "server/config/differences.py",
    "server/config/lever.py",
    "server/config/receipts.py",
    "server/config/registry.py",
    "server/config/revisions.py",
    "server/config/staged.py",
    "server/drill/plan.py",
    "server/gate/answer.py",
    "server/gate/budget.py",
    "server/gate/returns.py",
    "server/gate/rule.py",
    "server/incidents/suspect_rows.py",
    "server/incidents/suspects.py",
    "server/ingest/decode.py",
    "server/ingest/item_claims.py",
    "server/ingest/known_items.py",
    "server/ingest/outcome.py",
    "server/kernel/ids.py",
    "server/kernel/text.py",
    "server/live/deltas.py",
    "server/live/pairs.py",
    "server/live/service.py",
    "server/live/sketch.py",
    "server/live/windows.py",
    "server/kernel/urls.py",
    "server/notify/kind.py",
    "server/notify/message.py",
    "server/notify/retry.py",
    "server/notify/steps.py",
    "server/notify/target.py",
    "server/picture/picture.py",
    "server/receivers/alertmanager.py",
    "server/receivers/drained.py",
    "server/receivers/logplex.py",
    "server/receivers/route_template.py",
    "server/receivers/syslog.py",
    "server/receivers/syslog_drain.py",
    "server/receivers/syslog_frames.py",
    "server/receivers/cdevents.py",
    "server/receivers/github.py",
    "server/receivers/gitlab.py",
    "server/receivers/pagerduty_change.py",
    "server/receivers/told_change.py",
    "server/review/csv_form.py",
    "server/review/markdown.py",
    "server/review/monthly.py",
    "server/selfcheck/findings.py",
    "server/selfcheck/forecast.py",
    "server/signals/signal.py",
    "server/signals/silence_copy.py",
    "server/slo/ledger/history.py",
    "server/slo/ledger/months.py",
    "server/slo/policy/policy.py",
    "server/telemetry/negotiation.py",
)
PURE_LIBRARIES = ("google", "msgspec", "opentelemetry", "yaml")
IMPURE_STANDARD = ("asyncio", "socket", "subprocess", "threading")
CLOCKS = {
    "time.time",
    "time.monotonic",
    "datetime.now",
    "datetime.utcnow",
    "time.time_ns",
    "shared_clock.now",
    "shared_clock.machine",
}
MAKES_IDS = "server/kernel/ids.py"  # of the time, as RFC 9562 says


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
    """`from server.kernel import errors` names a module; `from server.kernel.errors import ApiError` does not."""
    path = ROOT / (f"{module}.{name}".replace(".", "/"))
    return f"{module}.{name}" if path.with_suffix(".py").exists() or path.is_dir() else module


def package_of(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def domain_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "server" and len(parts) > 2 and parts[1] in DOMAINS else None


def uses(path: Path, libraries: tuple[str, ...]) -> bool:
    return any(package_of(module) in libraries for module in imports(path))


def holds_sql(path: Path) -> bool:
    """store.py, *_store.py, db.py, tables, migrations: where SQL may stand."""
    named = path.stem in ("store", "db") or path.stem.endswith("_store")
    return named or "tables" in path.parts or "migrations" in path.parts


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_server_does_not_know_the_pages_or_the_checks() -> None:
    hidden = {
        "server": {"dashboard", "checks", "benchmarks", "scripts"},
        "checks": {"dashboard"},
        "dashboard": {"checks"},
    }
    for path in FILES:
        if name_of(path) not in ROOTS:
            known = {package_of(module) for module in imports(path)}
            assert not known & hidden.get(package_of(module_of(path)), set()), name_of(path)


def test_the_kernel_knows_nothing_above_it() -> None:
    for path in FILES:
        if module_of(path).startswith(KERNEL):
            above = {m for m in imports(path, typing=True) if m.startswith("server.") and not m.startswith(KERNEL)}
            assert not above, name_of(path)


def test_domains_point_one_way() -> None:
    for path in FILES:
        mine = domain_of(module_of(path))
        for module in imports(path) - SHARED_PURE if mine else ():
            other = domain_of(module)
            assert other in (None, mine) or other in DOMAINS[mine or ""], f"{name_of(path)} may not import {module}"


def test_handlers_and_pages_import_neither_sql_nor_redis() -> None:
    for path in FILES:
        page = package_of(module_of(path)) == "dashboard"
        if path.stem == "handlers" or path.stem.endswith("_handler") or page:
            assert not uses(path, (*SQL, *REDIS)), f"{name_of(path)}: decode, call one function, write"


@cache
def pure(path: Path) -> bool:
    """Whether a file imports the standard library, errors and other pure files only."""
    for module in imports(path):
        top = package_of(module)
        if top in sys.stdlib_module_names and top not in IMPURE_STANDARD:
            continue
        if top in PURE_LIBRARIES or module in ("server", "server.kernel.errors", "server.kernel.ids"):
            continue
        source = ROOT / (module.replace(".", "/") + ".py")
        if source.with_suffix("").is_dir():
            source = source.with_suffix("") / "__init__.py"
        if not (top == "server" and source.exists() and pure(source)):
            return False
    return True


def rules() -> list[Path]:
    """The files that hold rules and maths."""
    listed = [ROOT / name for name in PURE_FILES]
    assert all(path.exists() for path in listed), [name for name in PURE_FILES if not (ROOT / name).exists()]
    return listed + [path for path in FILES if name_of(path).startswith(PURE_FOLDERS)]


def test_the_rules_are_pure() -> None:
    for path in rules():
        assert pure(path), f"{name_of(path)}: {sorted(imports(path))}"


def test_time_comes_in_as_an_argument() -> None:
    for path in rules():
        calls = {ast.unparse(node.func) for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)}
        assert name_of(path) == MAKES_IDS or not calls & CLOCKS, name_of(path)


def test_sql_stands_in_stores() -> None:
    for path in FILES:
        if "server" not in path.relative_to(ROOT).parts or holds_sql(path) or name_of(path) in SQL_ELSEWHERE:
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found = node.value.lstrip().startswith(STATEMENT)
                assert not found, f"{name_of(path)}, line {node.lineno}: {node.value[:60]!r}"
        bound = {module for module in imports(path) if package_of(module) == "sqlalchemy"}
        assert not bound - {"sqlalchemy.exc", "sqlalchemy.ext.asyncio", "sqlalchemy.pool"}, name_of(path)


def test_redis_stands_where_signals_and_shared_limits_are() -> None:
    for path in FILES:
        if name_of(path) not in REDIS_PLACES and package_of(module_of(path)) != "benchmarks":
            assert not uses(path, REDIS), name_of(path)


def lines_of_text(function: ast.AST) -> int:
    """Lines inside docstrings and SQL, which are read as a whole."""
    texts = [n for n in ast.walk(function) if isinstance(n, ast.JoinedStr | ast.Constant) and n.end_lineno]
    return len({line for text in texts for line in range(text.lineno, text.end_lineno or 0)})


def test_files_and_functions_stay_readable() -> None:
    for path in FILES:
        assert path.stem not in ("utils", "util", "helpers", "common", "misc"), name_of(path)
        if "migrations" in path.parts:
            continue
        assert len(path.read_text().splitlines()) <= FILE, f"{name_of(path)}: split it by subject"
        for node in functions(path):
            lines = (node.end_lineno or 0) - node.lineno + 1 - lines_of_text(node)
            assert lines <= FUNCTION, f"{name_of(path)}: {node.name} has {lines} lines"


def test_handler_methods_stay_short() -> None:
    for path in FILES:
        for node in functions(path):
            if node.name in ("get", "post", "put", "patch"):
                lines = (node.end_lineno or 0) - node.body[0].lineno + 1
                assert lines <= METHOD, f"{name_of(path)}: {node.name} has {lines} lines"


def test_every_file_says_what_it_is() -> None:
    for path in FILES:
        if path.stat().st_size:
            assert ast.get_docstring(tree_of(path)), f"{name_of(path)}: one line, what it is for"
