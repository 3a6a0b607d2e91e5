#!/usr/bin/env bash
# What the Python client of the Model Context Protocol makes of a refusal over HTTP.
#
# Guess: a 401 or 503 reaches the caller with its status and the text of its body; MCP's own error responses, whose
# schema has `id?` and which are to leave it out where it was not read, are understood; a 503 as it connects is tried
# again, with Retry-After.
# What happens (mcp 2.3.0): of a problem document the caller gets "Server returned an error response", code -32603, for
# 401 as for 503: who sent a wrong key is told what an outage is told. An error of JSON-RPC is shown, if it comes as
# application/json and has an `id`: null does, left out as the specification says does not. And one 503 to the first
# request makes the connection one of 2025-11-25 for good: whatever is no error of the new protocol is taken for an old
# server. Nothing is tried again.
# Why it matters: a server that follows the specification to the letter, or answers errors as RFC 9457 says, leaves its
# users with no reason at all; answer refusals as JSON-RPC errors with `"id": null`. And a server that speaks only the
# newest version is out of reach for whoever connected during a restart: `initialize` must be answered too.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check mcp==2.3.0 2>/dev/null
"$work/venv/bin/python" - <<'PY'
import asyncio
import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

from mcp import Client

logging.disable(logging.CRITICAL)
print("mcp", version("mcp"))
REASON = "Send a valid key."
PROBLEM = ("application/problem+json", {"title": REASON, "status": 401})
LEFT_OUT = ("application/json", {"jsonrpc": "2.0", "error": {"code": 401, "message": REASON}})
NULL = ("application/json", {"jsonrpc": "2.0", "id": None, "error": {"code": 401, "message": REASON}})
refusal, refuses, methods = PROBLEM, lambda: True, []


class Server(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        methods.append(asked["method"])
        results = {
            "server/discover": {"supportedVersions": ["2026-07-28"], "capabilities": {}, "ttlMs": 0, "cacheScope": "public"},
            "initialize": {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}},
        }
        if "id" not in asked:
            self.answer(202, "", None)
        elif refuses():
            self.answer(401, *refusal)
        else:
            result = {"resultType": "complete"} | results[asked["method"]]
            self.answer(200, "application/json", {"jsonrpc": "2.0", "id": asked["id"], "result": result})

    def answer(self, status: int, media: str, body: object) -> None:
        sent = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()


async def connect() -> str:
    methods.clear()
    async with Client(f"http://127.0.0.1:{server.server_port}/mcp") as client:
        return client.protocol_version


def said() -> str:
    try:
        return asyncio.run(connect())
    except BaseException as error:
        while hasattr(error, "exceptions"):
            error = error.exceptions[0]
        return str(error)


for name, refusal in (("a problem document", PROBLEM), ("an error without id", LEFT_OUT), ("an error, id null", NULL)):
    print(f"401, {name:<20}", found := said())
    assert (REASON in found) == (refusal is NULL), "it tells otherwise now"
refusal, refuses = PROBLEM, lambda: len(methods) == 1
print("refused once, then speaks", found := said(), methods)
assert (found, methods[:2]) == ("2025-11-25", ["server/discover", "initialize"]), "it tries again now"
refuses = lambda: False
print("not refused, it speaks", found := said())
assert found == "2026-07-28"
PY
