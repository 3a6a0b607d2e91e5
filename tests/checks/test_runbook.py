"""The check of the runbook's file."""

from __future__ import annotations

from pathlib import Path

from checks import runbook
from checks.check import ROOT


def test_the_shipped_file_is_valid_and_a_fault_is_found_with_its_line(tmp_path: Path) -> None:
    shipped = ROOT / "runbook.yaml"
    assert runbook.inspect(shipped) == []
    path = tmp_path / "mine.yaml"
    path.write_text(shipped.read_text().replace("verify: report written", "verify: report read"))
    (found,) = runbook.inspect(path)
    line = path.read_text().splitlines().index("    verify: report read") + 1
    assert (found.level, found.where) == ("fail", f"mine.yaml:{line}")
    assert found.what.startswith("post-incident[0].verify: `report read` is not known")
    (missing,) = runbook.inspect(tmp_path / "none.yaml")
    assert (missing.level, "RUNBOOK_FILE" in missing.hint) == ("warn", True)
