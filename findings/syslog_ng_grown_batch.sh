#!/usr/bin/env bash
# What syslog-ng's http() sends again after an answer that is no success.
#
# Guess: what failed with 5xx comes again as it was, after time-reopen(), so a receiver that lost its answer knows the
# repeat by the digest of the body; what failed with 400 is dropped, as most shippers do, since it would fail again.
# What happens (syslog-ng 3.38.1, batch-lines above 1): the batch goes back into the queue and leaves it with whatever
# came since, in one larger body, as soon as the next message arrives, long before time-reopen() has passed. 400 is no
# other: the same messages come again with the next ones.
# Why it matters: two bodies that hold the same message share no digest, so a receiver must know each message by
# itself, or counts twice whenever an answer is lost. And one that answers 400 to a message that it will never take
# holds up all that stands behind it: answer 2xx, count the refused one, and say so elsewhere.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(syslog-ng-core=3.38.1-5+deb12u1 syslog-ng-mod-http=3.38.1-5+deb12u1 libivykis0=0.42.4-1
  "libnet1=1.1.6+dfsg-3.2" libwrap0=7.6.q-32)
apt-get download "${packages[@]}" >/dev/null 2>&1 ||
  { apt-get update >/dev/null && apt-get download "${packages[@]}" >/dev/null 2>&1; }
for package in *.deb; do dpkg-deb --extract "$package" root; done
python3 - "$work" <<'PY'
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

work = Path(sys.argv[1])
root = work / "root"
modules = next((root / "usr/lib/syslog-ng").glob("3.*"))
libraries = [root / "usr/lib/x86_64-linux-gnu", root / "lib/x86_64-linux-gnu", modules.parent, modules]
environment = os.environ | {"LD_LIBRARY_PATH": ":".join(map(str, libraries))}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def batches(first: int) -> list[list[str]]:
    """The messages of each request, where the first one is answered `first` and all others 200."""
    seen: list[list[str]] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append(body.decode().split("\n"))
            self.send_response(200 if len(seen) > 1 else first)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port, folder = free_port(), work / str(first)
    folder.mkdir()
    (folder / "conf").write_text(
        f"""@version: 3.38
source s {{ network(ip("127.0.0.1") port({port}) transport("tcp")); }};
destination d {{ http(url("http://127.0.0.1:{server.server_port}/") method("POST") body("$MSG")
  batch-lines(100) batch-timeout(500) retries(100) time-reopen(30)); }};
log {{ source(s); destination(d); }};
"""
    )
    kept = [f"--{name}={folder / name}" for name in ("persist-file", "control", "pidfile")]
    command = [root / "usr/sbin/syslog-ng", f"--module-path={modules}", "-F", "-f", folder / "conf", *kept]
    running = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        for number in range(2):
            send(port, f"<14>Nov 30 12:00:0{number} vm shop: m{number}\n")
            wait(lambda: len(seen) > number)
        wait(lambda: sum(map(len, seen)) >= 3)
    finally:
        running.terminate()
        running.wait()
        server.shutdown()
    return seen


def send(port: int, line: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(line.encode())
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "syslog-ng does not listen"
            time.sleep(0.1)


def wait(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "another request was awaited: it waits, drops or parts now"
        time.sleep(0.05)


version = subprocess.run([root / "usr/sbin/syslog-ng", "--version"], env=environment, capture_output=True, text=True)
print(version.stdout.splitlines()[0])
for code in (503, 400):
    found = batches(code)
    print(f"{code} to the first request; bodies: {found}")
    assert found == [["m0"], ["m0", "m1"]], "what failed comes again in another way now"
PY
