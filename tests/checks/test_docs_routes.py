"""What docs_routes finds, in documents that are wrong in one way each; ours are right."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from checks import docs_routes, markdown
from checks.check import ROOT, Unavailable

Edit = Callable[[str], str]


def test_ours_are_right() -> None:
    assert docs_routes.inspect(ROOT) == []


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the check reads."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "scripts").mkdir()
    for path in (ROOT / "scripts").glob("*.py"):
        shutil.copy(path, tmp_path / "scripts")
    return tmp_path


CASES: tuple[tuple[str, str, Edit, str], ...] = (
    ("a ghost", "docs/api.md", lambda t: t + "\n### `GET /api/v1/ghosts`\n", "Route GET /api/v1/ghosts is documented"),
    ("a route left out", "docs/api.md", lambda t: t.replace("### `GET /api/v1/changes`", ""), "is not documented"),
    ("a path in a sentence", "docs/slo.md", lambda t: t + "\n`/api/v1/slo/x`\n", "no route /api/v1/slo/x"),
    ("a code left out", "docs/api.md", lambda t: t.replace("| `THROTTLED`", "| THROTTLED"), "Code THROTTLED is not"),
    (
        "a wrong status",
        "docs/api.md",
        lambda t: t.replace("`IN_FLIGHT` | 409", "`IN_FLIGHT` | 408"),
        "IN_FLIGHT is 409",
    ),
    ("a setting left out", "docs/settings.md", lambda t: t.replace("| `PORT`", "| PORT"), "Setting PORT is not"),
    ("a ghost setting", "docs/settings.md", lambda t: t + "\n| `NO_SUCH` | | x |\n", "Setting NO_SUCH is documented"),
    ("a wrong default", "docs/settings.md", lambda t: t.replace("`8000`", "`8080`"), "PORT defaults to 8000, not 8080"),
    ("a setting in passing", "docs/deploy.md", lambda t: t + "\nset `NO_SUCH_SETTING`\n", "no setting or code NO_SUCH"),
    (
        "a ghost metric",
        "docs/metrics.md",
        lambda t: t + "\n| `evenkeel_x` | gauge | | x |\n",
        "Metric evenkeel_x is doc",
    ),
    (
        "wrong labels",
        "docs/metrics.md",
        lambda t: t.replace("| host, reason |", "| reason |", 1),
        "counter | host, reason",
    ),
    ("a mode left out", "docs/degrade.md", lambda t: t.replace("| `bus_cut`", "| bus_cut"), "mode bus_cut is not doc"),
    (
        "other words",
        "docs/degrade.md",
        lambda t: t.replace("| Redis full |", "| Redis |"),
        "redis_full is `redis` | Re",
    ),
    ("a metric in a rule", "docs/metrics.md", lambda t: t + "\n`rate(evenkeel_lost[5m])`\n", "no metric evenkeel_lost"),
    ("a link", "README.md", lambda t: t + "\n[x](docs/none.md)\n", "leads nowhere"),
    ("an anchor", "README.md", lambda t: t + "\n[x](docs/api.md#none)\n", "has no heading #none"),
    ("a script", "docs/runbook.md", lambda t: t + "\n`python scripts/none.py`\n", "there is no scripts/none.py"),
    ("a check", "docs/runbook.md", lambda t: t + "\n`python -m checks none`\n", "there is no check none"),
    ("a command", "docs/runbook.md", lambda t: t + "\n`python -m server fly`\n", "there is no command fly"),
    ("a sub-command", "docs/runbook.md", lambda t: t + "\n`python -m server slo fly`\n", "there is no command slo fly"),
    ("a target", "README.md", lambda t: t + "\n```\nmake coffee\n```\n", "the Makefile has no coffee"),
)


@pytest.mark.parametrize(("name", "edit", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_wrong_is_found_once_and_where(tree: Path, name: str, edit: Edit, words: str) -> None:
    before = (tree / name).read_text()
    after = edit(before)
    assert after != before, "the case does not apply any more"
    (tree / name).write_text(after)
    found = [finding for finding in docs_routes.inspect(tree) if "now.png" not in finding.what]
    assert any(words in finding.what for finding in found), found
    assert all(finding.where.startswith(name) for finding in found), found


def test_a_document_that_is_missing(tree: Path) -> None:
    (tree / "docs" / "metrics.md").unlink()
    with pytest.raises(Unavailable, match=r"docs/metrics\.md is missing"):
        docs_routes.inspect(tree)


def test_code_blocks_are_not_headings_tables_or_links(tmp_path: Path) -> None:
    (tmp_path / "x.md").write_text("# A `b` c!\n```\n# not\n| `no` | x |\n[no](no)\n```\n[yes](y.md) and `z`\n")
    found = markdown.read(tmp_path / "x.md", tmp_path)
    assert found.anchors() == {"a-b-c"}
    assert list(found.rows()) == []
    assert [target for _, target in found.links()] == ["y.md"]
    assert [text for _, text in found.spans()][-1] == "z"
