"""Places that name another version are found; ours agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks import version_consistency
from checks.check import ROOT
from server import __version__


def tree(root: Path, changelog: str = "## 1.2.0\n", setup: str = "version = attr: server.__version__\n") -> Path:
    (root / "docs").mkdir()
    (root / "setup.cfg").write_text(f"[metadata]\n{setup}")
    (root / "CHANGELOG.md").write_text(changelog)
    (root / "README.md").write_text("# Evenkeel\n")
    return root


def test_ours_agree() -> None:
    assert version_consistency.inspect(ROOT, __version__) == []


@pytest.mark.parametrize("changelog", ["## 1.1.9 - 2026-01-01\n## 1.2.0\n", "# Changelog\n", "## Unreleased\n"])
def test_the_newest_release_in_the_changelog(tmp_path: Path, changelog: str) -> None:
    found = version_consistency.in_changelog(tree(tmp_path, changelog), "1.2.0")
    assert [finding.where for finding in found] == ["CHANGELOG.md"]


def test_a_version_written_into_the_packaging(tmp_path: Path) -> None:
    assert version_consistency.in_packaging(tree(tmp_path, setup="version = 1.2.0\n"))


def test_a_doc_that_was_forgotten_is_named_with_its_line(tmp_path: Path) -> None:
    (tree(tmp_path) / "docs" / "api.md").write_text('fine: evenkeel 1.2.0\nold: {"version": "1.1.0"}\n')
    (found,) = version_consistency.in_docs(tmp_path, "1.2.0")
    assert found.where == "docs/api.md:2"


def test_a_version_that_is_none(tmp_path: Path) -> None:
    assert version_consistency.inspect(tree(tmp_path), "1.2")
