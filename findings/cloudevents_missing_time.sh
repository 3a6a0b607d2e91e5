#!/usr/bin/env bash
# What the SDKs of CloudEvents make of an event without a time.
#
# Guess: `time` is optional, so an event that came without one has none when it is read, and none when it is passed on;
# a receiver can tell "happened then" from "came now". What did come is passed on as it was sent.
# What happens (Python cloudevents 2.2.0, npm cloudevents 10.0.0): both fill `time` in while they *read*, with the clock
# of that moment, binary and structured alike. Nothing marks it; the same bytes read twice are two events that differ
# in their time, and what is passed on carries the relay's clock as if the producer had said it. The npm package also
# turns a time that did come into UTC milliseconds: 10:00:00.123456789+02:00 goes on as 08:00:00.123Z (Python's keeps
# the zone and cuts to microseconds).
# Why it matters: a deployment that waited an hour in a queue is dated at its delivery, and looks as if it followed the
# incident that it caused. A receiver that wants to know must look at the `ce-time` header or the JSON itself before it
# hands them to an SDK, must not compare events by their time when it looks for repeats (`source` and `id` stay), and
# behind a relay cannot know at all.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check cloudevents==2.2.0 2>/dev/null
npm install --silent --no-audit --no-fund --prefix "$work" cloudevents@10.0.0 >/dev/null 2>&1
cat >relay.js <<'JS'
// Read the messages on standard input and write what would be passed on; with "twice", what two readings give.
const { HTTP } = require("cloudevents");
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
(async () => {
  const messages = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const out = {};
  for (const [name, message] of Object.entries(messages)) {
    const first = HTTP.toEvent(message);
    await wait(20);
    out[name] = { times: [first.time, HTTP.toEvent(message).time], passed_on: HTTP.binary(first) };
  }
  console.log(JSON.stringify({ version: require("cloudevents/package.json").version, out }));
})();
JS
venv/bin/python - <<'PY'
import json
import subprocess
import time
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

from cloudevents.core.bindings.http import HTTPMessage, from_http_event, to_binary_event

started = datetime.now(UTC) - timedelta(seconds=1)
SENT = "2026-11-30T10:00:00.123456789+02:00"
attributes = {"specversion": "1.0", "id": "7", "source": "/ci", "type": "dev.cdevents.service.deployed.0.2.0"}
binary = {f"ce-{name}": value for name, value in attributes.items()} | {"content-type": "application/json"}
structured = {"content-type": "application/cloudevents+json"}
messages = {
    "binary": {"headers": binary, "body": "{}"},
    "structured": {"headers": structured, "body": json.dumps(attributes | {"data": {}})},
    "with a time": {"headers": binary | {"ce-time": SENT}, "body": "{}"},
}


def in_python(message: dict) -> dict:
    """The times of two readings of a message, and the headers that would be passed on."""
    sent = HTTPMessage(headers=message["headers"], body=message["body"].encode())
    first = from_http_event(sent)
    time.sleep(0.02)
    times = [first.get_time().isoformat(), from_http_event(sent).get_time().isoformat()]
    return {"times": times, "passed_on": {"headers": to_binary_event(first).headers}}


answer = subprocess.run(["node", "relay.js"], input=json.dumps(messages), capture_output=True, text=True, check=True)
node = json.loads(answer.stdout)
results = {
    f"Python {version('cloudevents')}": {name: in_python(message) for name, message in messages.items()},
    f"npm {node['version']}": node["out"],
}
for sdk, out in results.items():
    for name, result in out.items():
        passed_on = result["passed_on"]["headers"]["ce-time"]
        print(f"{sdk:<13} {name:<12} read as {' and '.join(result['times'])}, passed on as {passed_on}")
        if name == "with a time":
            continue
        moments = [datetime.fromisoformat(text) for text in (*result["times"], passed_on)]
        assert moments[0] < moments[1], "both readings have one time now"
        assert all(started < moment <= datetime.now(UTC) for moment in moments), "no longer the reader's clock"
        assert abs(moments[2] - moments[0]) < timedelta(milliseconds=1)
assert node["out"]["with a time"]["passed_on"]["headers"]["ce-time"] == "2026-11-30T08:00:00.123Z"
PY
