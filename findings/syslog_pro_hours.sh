#!/usr/bin/env bash
# Which hour syslog-pro writes into a message of the afternoon.
#
# Guess: a library that names RFC 3164 and RFC 5424 in its interface writes times that these know: hours of 00 to 23.
# What happens (npm syslog-pro 1.0.0): its patterns have the hour of a clock face, in all eight of its forms of time,
# with or without milliseconds and zone. 16:05 goes out as 04:05, with a right date and a right zone, so the message is
# well formed and twelve hours early; in the hour after midnight it is noon of that day, in the future. And `utf8BOM`, on
# by default, writes the three letters B, O and M in front of the text where RFC 5424 has the mark itself.
# Why it matters: nothing refuses such a message. Half of a day stands among the lines of its other half; what looks for
# lines of the last hour finds none of them, and an old-message limit of less than twelve hours drops them. A receiver
# cannot tell it from a queue that was held up; compare the header with the time of arrival when lines "are missing".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" syslog-pro@1.0.0 >/dev/null 2>&1
cat >send.js <<'JS'
// Print what it builds for a text, of both kinds.
const { RFC3164, RFC5424 } = require("syslog-pro");
(async () => {
  const named = { applicationName: "shop", hostname: "vm" };
  console.log(await new RFC3164(named).buildMessage("paid"));
  console.log(await new RFC5424(named).buildMessage("paid"));
})();
JS
python3 - <<'PY'
import json
import os
import subprocess
from datetime import UTC, datetime

print("syslog-pro", json.load(open("node_modules/syslog-pro/package.json"))["version"])
ahead = (16 - datetime.now(UTC).hour) % 24  # a zone in which it is four in the afternoon now
zone = f"Etc/GMT-{ahead}" if ahead <= 12 else f"Etc/GMT+{24 - ahead}"
made = subprocess.run(["node", "send.js"], env=os.environ | {"TZ": zone}, capture_output=True, text=True, check=True)
old, new = filter(None, made.stdout.splitlines())
print("the hour is 16; it writes", old, new, sep="\n")
assert "T04:" in new and " 04:" in old, "it writes another hour now"
assert new.endswith("BOMpaid"), "it writes the mark, or none, now"
PY
