"""The OpenAPI document against a running server, by schemathesis: no answer that it does not describe."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from server.http.openapi import document
from server.ingest.telemetry.otlp_handlers import ADDRESSES
from server.routes import API
from tests.running import Running

SEED = "20261129"
SHORT = ("--phases", "fuzzing", "--max-examples", "2")  # for each operation
LONG = ("--phases", "coverage,fuzzing,stateful", "--max-examples", "30")  # and every edge of every schema
# What a valid request may meet besides: nobody there, something in the way, a precondition.
MET = ["2xx", "401", "403", "404", "409", "412", "413", "428", "503"]
# The rules that no schema says, each of the one operation that may answer 422 to a request that its schema allows.
RULES = {
    "GET /api/v1/reports/{service}/{month}": "a month that has begun, and is kept",
    "GET /api/v1/services/{service}/series": "`from` is before `to`, and the step gives at most 1500 points",
    "GET /api/v1/services/{service}/summary": "a window is at most 400 days, in whichever unit",
    "GET /api/v1/services/{service}/suspects": "`over_ms` is a threshold that the service is held to",
    "GET /api/v1/slos/{name}/budget": "one of window, month, or from and to",
    "POST /api/v1/changes": "only a deploy rolls a version back",
    "POST /api/v1/changes/{change_id}/finish": "a time is of the last 24 hours",
    "POST /api/v1/config/rollback": "there is a revision to go back to",
    "POST /api/v1/config/staged": "31.0 is no whole number",
    "POST /api/v1/deploy-targets": "an address is one of its kind",
    "POST /api/v1/alertmanager": "an address is a URL",
    "POST /api/v1/flag-sources": "an address is a URL",
    "POST /api/v1/hooks": "a name is of one hook",
    "POST /api/v1/hooks/flags": "a service is named, by the address or the key",
    "POST /api/v1/hooks/cdevents": "a time has its zone",
    "POST /api/v1/drains/syslog": "a zone is one that the machine knows",
    "POST /api/v1/services/{service}/route-patterns": "a pattern begins with /",
    "POST /api/v1/drains/json": "a line names a service, or the address or the key does",
    "POST /api/v1/exclusions": "`start` is before `stop`",
    "POST /api/v1/gate/overrides": "a reason says something",
    "POST /api/v1/incidents": "2.0 is no whole number, and a title says something",
    "POST /api/v1/incidents/{incident_id}/acts": "2.0 is no whole number, and a text is printable",
    "POST /api/v1/incidents/{incident_id}/merge": "2.0 is no whole number",
    "POST /api/v1/incidents/{incident_id}/split": "2.0 is no whole number",
    "POST /api/v1/keys": "a name is printable",
    "POST /api/v1/maintenance-windows": "`start` is before `stop`",
    "POST /api/v1/outcomes": "a time is within what is kept",
    "POST /api/v1/silences": "a service, an objective or both",
    "POST /api/v1/targets": "a name is printable, an address is one of its kind",
}


def configuration() -> str:
    """Valid data is accepted everywhere, but for those rules."""

    def accepted(statuses: list[str]) -> str:
        return f"checks.positive_data_acceptance.expected-statuses = {json.dumps(statuses)}\n"

    ruled = [f"[[operations]]\ninclude-name = {json.dumps(name)}\n{accepted([*MET, '422'])}" for name in RULES]
    # What is sent by OTLP is described elsewhere, and its senders bear 400 alone.
    theirs = [f"[[operations]]\ninclude-path = {json.dumps(path)}\n{accepted([*MET, '400'])}" for path in ADDRESSES]
    return accepted(MET) + "\n".join([*ruled, *theirs])


@pytest.mark.parametrize("how", [SHORT, pytest.param(LONG, marks=pytest.mark.soak)], ids=["short", "long"])
def test_every_answer_is_described(running: Callable[..., Running], tmp_path: Path, how: tuple[str, ...]) -> None:
    server = running(LOG_LEVEL="warning")
    key = server.command("key", "create", "all", *(f"--scope={scope}" for scope in ("ingest", "read", "act", "admin")))
    described = tmp_path / "openapi.json"
    described.write_text(json.dumps(document(API)))
    (tmp_path / "schemathesis.toml").write_text(configuration())
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("run", str(described), "--url", server.url, "--header", f"Authorization: Bearer {key}"),
        *("--checks", "all", *how),
        *("--seed", SEED, "--generation-database", "none", "--no-color", "--continue-on-failure", "--workers", "2"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert "Traceback" not in server.output()
