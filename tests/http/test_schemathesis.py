"""The OpenAPI document against a running server, by schemathesis: no answer that it does not describe."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from server.http.openapi import document
from server.routes import API
from tests.running import Running

SEED = "20261129"
SHORT = ("--phases", "fuzzing", "--max-examples", "6")  # for each operation
LONG = ("--phases", "coverage,fuzzing,stateful", "--max-examples", "30")  # and every edge of every schema
# What a schema cannot say, such as that `from` is before `to`, is refused with a code of its own.
CONFIGURATION = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "404", "409", "412", "413", "422", "428", "503"]
"""


@pytest.mark.parametrize("how", [SHORT, pytest.param(LONG, marks=pytest.mark.soak)], ids=["short", "long"])
def test_every_answer_is_described(running: Callable[..., Running], tmp_path: Path, how: tuple[str, ...]) -> None:
    server = running(LOG_LEVEL="warning")
    key = server.command("key", "create", "all", *(f"--scope={scope}" for scope in ("ingest", "read", "act", "admin")))
    described = tmp_path / "openapi.json"
    described.write_text(json.dumps(document(API)))
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("run", str(described), "--url", server.url, "--header", f"Authorization: Bearer {key}"),
        *("--checks", "all", *how),
        *("--seed", SEED, "--generation-database", "none", "--no-color", "--continue-on-failure", "--workers", "2"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert "Traceback" not in server.output()
