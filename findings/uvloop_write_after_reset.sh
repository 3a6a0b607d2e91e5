#!/usr/bin/env bash
# Which exception tells a server on uvloop that its client has gone.
#
# Guess: uvloop is a drop-in for asyncio's loop; a write to a connection that the client reset fails with
# ConnectionResetError on both, as the read before it does, so `except ConnectionError` around an answer is enough.
# What happens (uvloop 0.23.0, Python 3.11): reads agree. A write after the reset is dropped in silence by asyncio, and
# drain() then raises ConnectionResetError; on uvloop write() itself raises RuntimeError ("the handler is closed"), no
# OSError at all. After an orderly close by the client (FIN) both raise ConnectionResetError in drain(), so a try with
# a client that just closes shows no difference: only RST does, which is what a killed client, or one that closes with
# bytes unread, sends.
# Why it matters: code that was written and tested on asyncio tells "client left" from "we failed" by the exception.
# On uvloop a part of the clients that left becomes an unhandled error: a traceback, a 500 in the log, and a failed
# request in the error ratio that nobody got. Ask is_closing() before a write, or catch both.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check uvloop==0.23.0 2>/dev/null
"$work/venv/bin/python" - <<'PY'
import asyncio
import platform
import socket
import struct
from importlib.metadata import version

import uvloop

print("uvloop", version("uvloop"), "Python", platform.python_version())


async def attempt(coroutine) -> str:
    """The name of the exception that a step raises, or "fine"."""
    try:
        await coroutine
    except Exception as error:
        return type(error).__name__
    return "fine"


async def serve_once(reset: bool) -> dict[str, str]:
    """What the steps of a server raise whose client has left, by a reset or by an orderly close."""
    found: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
    left = asyncio.Event()

    async def write(writer):
        writer.write(b".")

    async def handle(reader, writer):
        await reader.readexactly(4)
        steps = {}
        await left.wait()
        steps["read"] = await attempt(reader.readexactly(1))
        for turn in ("first", "second"):
            steps[f"{turn} write"] = await attempt(write(writer))
            steps[f"{turn} drain"] = await attempt(writer.drain())
            while not reset and turn == "first" and not writer.is_closing():
                await asyncio.sleep(0.01)  # until the answer to the first write, a reset, is in
                writer.write(b".")
        writer.close()
        found.set_result(steps)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    client = socket.create_connection(server.sockets[0].getsockname())
    client.sendall(b"ping")
    if reset:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    left.set()
    steps = await asyncio.wait_for(found, 20)
    server.close()
    return steps


results = {}
for name, run in (("asyncio", asyncio.run), ("uvloop", uvloop.run)):
    for kind in ("reset", "close"):
        steps = results[name, kind] = run(serve_once(kind == "reset"))
        print(f"{name:<8} {kind:<6} " + ", ".join(f"{step}: {raised}" for step, raised in steps.items()))
gone = "ConnectionResetError"
after_reset = {"read": gone, "first write": "fine", "first drain": gone, "second write": "fine", "second drain": gone}
assert results["asyncio", "reset"] == after_reset, results
raised = results["uvloop", "reset"]
assert raised["read"] == gone, raised
assert raised["first write"] == raised["second write"] == "RuntimeError", "it behaves otherwise now"
assert raised["first drain"] == gone, raised
assert results["asyncio", "close"]["second drain"] == gone == results["uvloop", "close"]["second drain"], results
PY
