"""No circles: no module imports another that imports it back, on whatever way round."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("server", "dashboard", "checks")
Graph = dict[str, set[str]]


@cache
def graph(typing: bool) -> Graph:
    """What each module imports of ours, also inside functions; under TYPE_CHECKING only where `typing`.

    A package counts as imported only where it itself is named: that importing a module runs its
    package's `__init__` is no circle as long as that imports nothing.
    """
    files = {module_of(path): path for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    return {module: {one for one in imported(path, typing) if one in files} for module, path in files.items()}


def module_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")


def imported(path: Path, typing: bool) -> set[str]:
    """The names that a file imports, as modules and as what stands in them; the graph keeps the modules."""
    found: set[str] = set()
    for node in nodes(ast.parse(path.read_text()), typing):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inside | ({node.module or ""} if any(not is_module(name) for name in inside) else set())
    return found


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def nodes(node: ast.AST, typing: bool) -> Iterator[ast.AST]:
    """The node and all beneath; not what is under TYPE_CHECKING unless `typing`."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            continue  # no import stands in one
        if typing or not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from nodes(child, typing)


def circles(edges: Graph) -> list[list[str]]:
    """The strongly connected components of more than one module, or of one that imports itself (Tarjan)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        stack.append(module)
        for other in sorted(edges[module]):
            if other not in number:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in stack:
                lowest[module] = min(lowest[module], number[other])
        if lowest[module] == number[module]:
            place = stack.index(module)
            component = stack[place:]
            del stack[place:]
            if len(component) > 1 or module in edges[module]:
                found.append(sorted(component))

    for module in sorted(edges):
        if module not in number:
            visit(module)
    return found


@pytest.mark.parametrize("typing", [False, True], ids=["run time", "with TYPE_CHECKING"])
def test_there_are_no_circles(typing: bool) -> None:
    assert circles(graph(typing)) == []


def test_a_circle_is_found() -> None:
    """So that an empty list above means something."""
    edges: Graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": set(), "f": {"f"}}
    assert circles(edges) == [["a", "b", "c"], ["f"]]
    assert len(graph(True)) > 300
    assert graph(True)["server.app"] >= {"server.parts", "server.routes", "checks.schedule"}
