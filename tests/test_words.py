"""One word for one thing: docs/words.md against every name in the code."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

from tests.test_architecture import FILES, ROOT, name_of, tree_of

ROW = re.compile(r"^\| (?P<word>[^|\n]+) \|[^|\n]+\|(?P<classes>[^|\n]*)\|(?P<never>[^|\n]*)\|$", re.M)
ROWS = list(ROW.finditer((ROOT / "docs/words.md").read_text().partition("| --- |")[2]))

# Classes that are put together from others of the same name.
TOGETHER = {"OutcomesHandler"}
PRODUCT = [path for path in FILES if name_of(path).startswith(("server/", "dashboard/", "checks/"))]


def listed(cell: str) -> list[str]:
    return [word.strip(" `") for word in cell.split(",") if word.strip()]


def words_in(name: str) -> list[str]:
    """`RolloutAsked`, `rollout_asked`: the words of a name, in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def classes() -> dict[str, list[str]]:
    """Every class at the top of a file, and the files that have one of that name."""
    found = defaultdict(list)
    for path in PRODUCT:
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef):
                found[node.name].append(name_of(path))
    return dict(found)


def names(path: Path) -> set[str]:
    """What a file names: functions, classes, arguments and variables."""
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


THEIRS = {"discover_master"}  # names that redis-py calls


def test_a_class_name_means_one_thing() -> None:
    twice = {name: files for name, files in classes().items() if len(files) > 1 and name not in TOGETHER}
    assert not twice


def test_every_word_that_names_a_class_has_it() -> None:
    assert len(ROWS) > 20, "the table of docs/words.md is read"
    known = classes()
    assert not [name for row in ROWS for name in listed(row["classes"]) if name not in known]


def test_no_name_uses_a_word_that_the_table_rules_out() -> None:
    never = {word for row in ROWS for word in listed(row["never"])}
    ours = [(path, name) for path in PRODUCT for name in names(path) - THEIRS]
    found = [f"{name_of(path)}: {name}" for path, name in ours if never & set(words_in(name))]
    assert not found


def test_an_outcome_is_a_request() -> None:
    elsewhere = {
        name: files
        for name, files in classes().items()
        if "outcome" in words_in(name) or "outcomes" in words_in(name)
        if any(
            not file.startswith(("server/ingest/", "server/live/", "server/receivers/", "server/routes"))
            for file in files
        )
    }
    assert not elsewhere


def test_no_function_or_class_has_a_name_that_says_nothing() -> None:
    """`told` named 17 functions; what a function makes is its name: sentence_of, preview_sentence, line_of."""
    empty = {"told", "Told", "Kept", "Seen"}
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = [
        f"{name_of(path)}: {node.name}"
        for path in PRODUCT
        for node in ast.walk(tree_of(path))
        if isinstance(node, defined) and node.name in empty
    ]
    assert not found
