#!/usr/bin/env bash
# Whether an alert's start is the same when it fires and when it is over, with two Prometheus servers as a pair.
#
# Guess: fingerprint and `startsAt` name one episode of an alert: what is told as resolved has the start that was told
# as firing. Of a pair that both send the same alert, the first start stays, and the alert is over once both say so.
# What happens (Alertmanager 0.25.0): the two never start alike, as each evaluates by its own clock. Where the one with
# the later start is heard first, the alert is told with that start; the earlier one then replaces it without a message,
# and the resolve comes with a start that was never told. And the last word wins: as soon as one of the pair says that
# it is over, it is told as resolved, though the other still fires; with that one's next post it fires again, now with
# the earlier start. A start in the future (a sender whose clock is ahead) waits for nothing: it is told at once.
# Why it matters: a receiver that looks the resolve up by fingerprint and start finds nothing, and leaves the incident
# open, or makes two of one. Match a resolve by fingerprint to what fires if its end lies after that began, take the
# earliest start heard, let a short gap before it fires again be one episode, and trust no start that lies ahead.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
package=prometheus-alertmanager=0.25.0-1+b4
apt-get download "$package" >/dev/null 2>&1 ||
  { apt-get update >/dev/null && apt-get download "$package" >/dev/null 2>&1; }
dpkg-deb --extract prometheus-alertmanager_*.deb package
package/usr/bin/prometheus-alertmanager --version | head -1
python3 - <<'PY'
import json
import queue
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

told: queue.Queue[dict] = queue.Queue()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for alert in body["alerts"]:
            told.put(alert)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
config = {
    "route": {"receiver": "r", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s"},
    "receivers": [{"name": "r", "webhook_configs": [{"url": f"http://127.0.0.1:{receiver.server_port}/"}]}],
}
with open("config.yml", "w") as file:
    json.dump(config, file)  # JSON is YAML
began = datetime.now(UTC)


def moment(seconds: float) -> str:
    return (began + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def post(start: float, over: bool = False, name: str = "Pair") -> None:
    """Send the alert as Prometheus does: its end is now where it is over, and else lies ahead."""
    passed = (datetime.now(UTC) - began).total_seconds()
    alert = {"labels": {"alertname": name}, "startsAt": moment(start), "endsAt": moment(passed + (0 if over else 4000))}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v2/alerts", json.dumps([alert]).encode())
    request.add_header("Content-Type", "application/json")
    urllib.request.urlopen(request, timeout=10).close()


def hear() -> tuple[str, float]:
    """The next alert told: its status, and its start in seconds from the beginning of the try."""
    alert = told.get(timeout=20)
    start = datetime.fromisoformat(alert["startsAt"])
    return alert["status"], round((start - began).total_seconds())


def wait_until_ready() -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=10).close()
            return
        except urllib.error.URLError:
            time.sleep(0.1)
    raise SystemExit("Alertmanager did not start")


command = ["package/usr/bin/prometheus-alertmanager", "--config.file=config.yml", "--storage.path=data"]
command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
LATER, EARLIER = -10, -30  # the start by the one of the pair, and by the other
heard = []
try:
    wait_until_ready()
    post(LATER)
    heard.append(hear())
    post(EARLIER)
    post(LATER, over=True)
    heard.append(hear())
    post(EARLIER)
    heard.append(hear())
    post(EARLIER, over=True)
    heard.append(hear())
    post(3000, name="Ahead")
    heard.append(hear())
finally:
    process.terminate()
    process.wait(20)
steps = ("first fires", "second fires too, first says over", "second still fires", "second says over", "clock ahead")
for step, (status, start) in zip(steps, heard):
    print(f"{step:<34} {status:<9} start {start:+}")
assert heard == [
    ("firing", LATER),
    ("resolved", EARLIER),
    ("firing", EARLIER),
    ("resolved", EARLIER),
    ("firing", 3000),
], heard
PY
