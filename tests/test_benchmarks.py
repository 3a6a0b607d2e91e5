"""What the benchmarks say: figures against limits, how busy it was, and the document that holds the last run."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks import base, record
from benchmarks.busy import own_seconds, watched
from benchmarks.cpu import of_process
from benchmarks.figure import AIMS, Figure, aimed, compared
from benchmarks.traffic import bodies
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parent.parent


def test_a_ratio_is_the_median_of_its_rounds_and_is_what_is_held() -> None:
    good = aimed("durable singles, rate", [130, 110, 500], "items/s", [100, 100, 100])
    assert (good.ratio, good.spread, good.verdict) == (1.3, "1.1-5", "holds")
    assert "/ 100 = 1.3" in good.line()
    assert aimed("durable singles, rate", [110], "items/s", [100]).verdict == "MISSED"
    assert aimed("web CPU a single, 64 connections", [90], "us", [300]).verdict == "holds"


def test_without_its_peer_a_ratio_is_held_to_nothing() -> None:
    alone = aimed("web CPU a single, 64 connections", [90], "us", (), base.NO_BASE)
    assert (alone.verdict, alone.ratio, alone.holds) == ("", None, True)
    assert base.NO_BASE in alone.line()


def test_every_aim_has_a_module_that_measures_it() -> None:
    assert {aim.module for aim in AIMS.values() if aim.module} <= set(bench.TABLE + bench.BY_HAND)
    for name in bench.TABLE + bench.OTHERS + bench.BY_HAND:
        assert callable(importlib.import_module(f"benchmarks.{name}").run)


def test_the_document_has_every_aim_and_is_made_from_the_last_run() -> None:
    """Which figures there are the benches say; what stands in the document is what they wrote."""
    text = (ROOT / "docs" / "performance.md").read_text()
    assert text == record.page(record.load(ROOT / "docs" / "performance.json"))
    rows = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| ")]
    assert rows[2 : 2 + len(AIMS)] == list(AIMS)


def test_a_run_takes_the_place_of_the_last_one_of_its_module(tmp_path: Path) -> None:
    def run(name: str, value: float) -> record.Run:
        with watched() as busy:
            return record.Run(name, "2026-11-30 04:40", busy(), [compared(f"{name} taken", [value], "MiB", [50])])

    record.write(tmp_path, [run("memory", 70), run("idle", 1)])
    record.write(tmp_path, [run("memory", 61)])
    assert [each.name for each in record.load(tmp_path / "performance.json")] == ["memory", "idle"]
    assert "| memory taken | 61 MiB | 50 MiB | 1.22 |" in (tmp_path / "performance.md").read_text()


def test_the_work_of_a_child_that_has_ended_is_ours() -> None:
    """And so not of others who disturb the run."""
    work = "import time\nwhile time.process_time() < 0.3: pass"
    before = own_seconds()
    with watched() as busy:
        with subprocess.Popen([sys.executable, "-c", work]) as child:
            wait_for(lambda: of_process(child.pid) > 0.1, "its work to be seen while it lives")
        found = busy()
    assert own_seconds() - before >= 0.2
    assert 0 <= found.others <= 1
    assert "s, load " in found.line()


@pytest.mark.parametrize("items", [1, 10])
def test_half_of_the_requests_bring_ids_of_their_own_each_time(items: int) -> None:
    first, second = ([json.loads(body.fresh()) for body in bodies(4, items)] for _ in range(2))
    ids = [[outcome.get("request_id") for outcome in body] for body in first]
    assert ids[0] == ids[2] == [None] * items
    assert len(set(ids[1] + ids[3])) == 2 * items
    assert [len(each) for each in first] == [items] * 4
    assert first[1] != second[1]
    assert first[0] == second[0]


def test_a_clone_without_the_base_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(base, "COMMIT", "0" * 40)
    with base.tree() as found:
        assert found is None
    assert "no ratio" in capsys.readouterr().out


def test_a_figure_without_rounds_is_held_by_its_value() -> None:
    assert [Figure("x", 2, "s", 3).verdict, Figure("x", 4, "s", 3).verdict, Figure("x", 4, "s").verdict] == [
        "holds",
        "MISSED",
        "",
    ]
