"""/mcp with the published client, in its three modes: it finds the version itself, insists on ours, or shakes hands."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from server.mcp.handlers import TOOLS
from tests.running import Running
from tests.slo.over_http import outcome

CLIENT = "mcp==2.3.0"
PROGRAM = """
import asyncio, json, sys
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

async def ask(mode):
    http = create_mcp_http_client({"Authorization": "Bearer " + sys.argv[2]})
    async with http, Client(streamable_http_client(sys.argv[1], http_client=http), mode=mode) as client:
        tools = (await client.list_tools()).tools
        services = await client.call_tool("services", {"limit": 5})  # looks at its own output schema
        wrong = await client.call_tool("summary", {"service": "no such"})
        try:
            await client.call_tool("drop", {})
            unknown = None
        except Exception as error:
            unknown = str(error)
        return {
            "version": client.protocol_version,
            "server": client.server_info and client.server_info.name,
            "tools": [tool.name for tool in tools],
            "services": [row["name"] for row in services.structured_content["services"]],
            "wrong": [wrong.is_error, wrong.content[0].text],
            "unknown": unknown,
        }

async def stranger():
    http = create_mcp_http_client({"Authorization": "Bearer nobody"})
    async with http, Client(streamable_http_client(sys.argv[1], http_client=http)):
        pass

def why(error):
    return why(error.exceptions[0]) if hasattr(error, "exceptions") else str(error)

try:
    asyncio.run(stranger())
except BaseException as error:
    refused = why(error)
print(json.dumps([refused, *(asyncio.run(ask(mode)) for mode in ("auto", "2026-07-28", "legacy"))]))
"""


@pytest.mark.soak
def test_the_published_client_finds_and_calls_the_tools(running: Callable[..., Running], tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    got = subprocess.run([venv / "bin/pip", "install", "--quiet", CLIENT], check=False, capture_output=True, text=True)
    if got.returncode:
        pytest.skip(f"{CLIENT} cannot be installed: {got.stderr[-300:]}")
    server = running()
    key = server.key("ingest", "read")
    assert server.call("POST", "/api/v1/outcomes", key=key, data=[outcome()])[0] == 201
    command = [venv / "bin/python", "-c", PROGRAM, f"{server.url}/mcp", key]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    refused, *answers = json.loads(done.stdout)
    assert "Send a valid key" in refused
    assert [found["version"] for found in answers] == ["2026-07-28", "2026-07-28", "2025-11-25"]
    assert [found["server"] for found in answers] == ["evenkeel", None, "evenkeel"]  # one that insists does not ask
    for found in answers:
        assert found["tools"] == list(TOOLS)
        assert "shop" in found["services"]
        assert found["wrong"][0] is True
        assert "NOT_FOUND" in found["wrong"][1]
        assert "Unknown tool" in found["unknown"]
