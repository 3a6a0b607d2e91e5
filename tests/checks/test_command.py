"""`python -m checks` and the scripts, as a person starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checks import apart, registry
from checks.check import ROOT
from tests.waiting import wait_for


def run(*arguments: str, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """One command, without any database unless it is given."""
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | variables
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=60)


def test_names_are_unique_and_each_check_is_a_file_of_its_own() -> None:
    found = [registry.load(name) for name in registry.NAMES]
    assert [check.name for check in found] == list(registry.NAMES)
    assert len(set(registry.NAMES)) == len(registry.NAMES)
    assert all((ROOT / "checks" / f"{name}.py").exists() for name in registry.NAMES)
    assert all(check.every_s >= check.limit_s for check in found), "a run ends before the next is due"
    of_files = [check for check in found if check.needs == "repository"]
    assert [check.name for check in of_files] == list(registry.REPOSITORY)
    assert all(check.limit_s < apart.LIMIT_S for check in of_files), "it says itself that it takes too long"


def test_without_a_database_the_live_ones_are_left_out_and_nothing_is_made(tmp_path: Path) -> None:
    found = run("-m", "checks", "--json", DATA_DIR=str(tmp_path / "none"))
    names = [one["name"] for one in json.loads(found.stdout)]
    assert names == ["docs_routes", "schema_policy", "version_consistency", "slo_policy", "runbook"]
    assert "skip watch: no database answers" in found.stderr
    assert not (tmp_path / "none").exists()


def test_a_named_one_without_its_database_fails(tmp_path: Path) -> None:
    found = run("-m", "checks", "watch", DATA_DIR=str(tmp_path))
    assert found.returncode == 1
    assert "FAIL  watch" in found.stdout
    assert "-> Set DATABASE_URL" in found.stdout


def test_an_unknown_name_is_a_mistake_in_the_command() -> None:
    found = run("-m", "checks", "nonsense")
    assert found.returncode == 2
    assert "There is no check 'nonsense'" in found.stderr


def test_a_wrong_environment_is_named() -> None:
    found = run("-m", "checks", "slo_policy", PORT="http")
    assert (found.returncode, found.stdout) == (2, "")
    assert "PORT" in found.stderr


def test_a_faulty_policy_fails_with_its_line(tmp_path: Path) -> None:
    policy = tmp_path / "slo.yaml"
    policy.write_text((ROOT / "slo.yaml").read_text().replace("target: 0.99\n", "target: 1\n"))
    found = run("-m", "checks", "slo_policy", SLO_FILE=str(policy))
    assert found.returncode == 1
    assert "fail: slo.yaml:" in found.stdout


SCRIPTS = sorted(path.name for path in (ROOT / "scripts").glob("check_*.py"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_starts_from_anywhere(script: str, tmp_path: Path) -> None:
    found = run(str(ROOT / "scripts" / script), "--help", cwd=tmp_path)
    assert (found.returncode, found.stderr) == (0, "")
    assert "--base-url" in found.stdout


def test_the_scripts_are_those_of_the_runbook() -> None:
    assert SCRIPTS == [
        "check_docs_routes.py",
        "check_runtime_health.py",
        "check_schema_policy.py",
        "check_slo_policy.py",
        "check_version_consistency.py",
    ]


def test_a_script_runs_its_check(tmp_path: Path) -> None:
    found = run("scripts/check_schema_policy.py", "--json", DATA_DIR=str(tmp_path))
    (result,) = json.loads(found.stdout)
    assert (found.returncode, result["name"], result["status"]) == (0, "schema_policy", "pass")


def test_everything_against_a_running_server(running: Callable[..., Any]) -> None:
    """The whole product: every check that is not about the tree passes, and the service has run them too."""
    server = running()
    results: dict[str, Any] = {}

    def pass_all() -> bool:
        """Some judge how soon things come: a machine that stood still for a moment is asked again."""
        found = run("-m", "checks", "--json", "--base-url", server.url, **server.variables)
        results.update({one["name"]: one for one in json.loads(found.stdout)})
        names = ("runtime_health", "watch", "stragglers", "partitions", "disk", "cardinality")
        return all(results[name]["status"] == "pass" for name in names)

    wait_for(pass_all, "every check to pass")
    assert set(results) == set(registry.NAMES)
    key = server.key("read")

    def kept() -> dict[str, Any]:
        return {one["name"]: one for one in server.get("/api/v1/checks", key)[1]["checks"]}

    wait_for(lambda: set(kept()) == set(registry.RUNNING), "the service to run every check of what runs once")
    assert kept()["watch"]["status"] == "pass"
    status, history = server.get("/api/v1/checks/watch?limit=1", key)
    assert (status, len(history["results"])) == (200, 1)
    assert server.get("/api/v1/checks/none", key)[0] == 404
