#!/usr/bin/env bash
# What a plain secret becomes in the Python library of Standard Webhooks.
#
# Guess: `Webhook(secret)` takes a secret of the form whsec_ + base64, and refuses what is no base64; so a secret of
# another form fails at once, where it is configured.
# What happens (standardwebhooks 1.1.0): it decodes leniently. Characters outside the alphabet are dropped without a
# word, so most texts are taken, with another key than their bytes; whether an error comes depends on the length that
# is left. The receiver starts, and then every message fails with "No matching signature found".
# Why it matters: who adds Standard Webhooks beside an older signature must give receivers whsec_ + base64 of the
# secret's bytes (or pass bytes), and never the secret as it stands.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check standardwebhooks==1.1.0 2>/dev/null
"$work/venv/bin/python" - <<'PY'
import base64
import hashlib
import hmac
from datetime import UTC, datetime
from importlib.metadata import version

from standardwebhooks import Webhook

print("standardwebhooks", version("standardwebhooks"))
at = datetime.now(UTC)
seconds, body = int(at.timestamp()), '{"a":1}'


def verdict(given: object, key: bytes) -> str:
    """What the library says of a message that was signed with `key`, where it was given `given`."""
    mac = hmac.new(key, f"msg_1.{seconds}.{body}".encode(), hashlib.sha256).digest()
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(seconds),
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }
    try:
        made = Webhook(given)
    except Exception as error:
        return f"refused when made: {type(error).__name__}"
    try:
        made.verify(body, headers)
    except Exception as error:
        return f"taken, then: {error}"
    return "verified"


plain = "ew_aB3-_x9Qm2Lr7Tz1KpVw8YsDnHc4GfJ0uXeRtIoEa5"
longer = "ew_" + "A" * 43
found = {
    "a plain text with - and _": verdict(plain, plain.encode()),
    "a plain text of another length": verdict(longer, longer.encode()),
    "a plain text that is base64 by chance": verdict("abcdefghijklmnop", b"abcdefghijklmnop"),
    "whsec_ + base64 of its bytes": verdict("whsec_" + base64.b64encode(plain.encode()).decode(), plain.encode()),
    "its bytes": verdict(plain.encode(), plain.encode()),
}
for what, said in found.items():
    print(f"{what}: {said}")
expected = [
    "taken, then: No matching signature found",
    "refused when made: Error",
    "taken, then: No matching signature found",
    "verified",
    "verified",
]
assert list(found.values()) == expected, "this has changed"
PY
