"""The receivers that docs/connect/changes.md prints, in Python and JavaScript, judge its vectors as it says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest

from server.kernel import standard_webhooks
from tests.conftest import ROOT

PAGE = (ROOT / "docs/connect/changes.md").read_text()
SECRETS = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_YW4gb2xkZXIgc2VjcmV0IG9mIDMyIGNoYXJhY3RlcnM="]
BODY, SENT = '{"service":"checkout","kind":"deploy","version":"4e81b07"}', 1796040000
VECTORS = [
    (one, int(later), word == "good")
    for one, later, word in re.findall(r"^\| `(.*)` \| (-?\d+) \| (good|not) \|$", PAGE, re.M)
]


def test_the_page_says_what_the_vectors_are_of() -> None:
    assert len(VECTORS) == 7
    assert all(f"`{one}`" in PAGE for one in (*SECRETS, BODY, str(SENT)))


def test_ours() -> None:
    for signatures, later, good in VECTORS:
        recent = standard_webhooks.is_recent(str(SENT), SENT + later)
        signed = [standard_webhooks.signed_by(one, "msg_1", str(SENT), signatures, BODY.encode()) for one in SECRETS]
        assert (recent and any(signed)) is good, (signatures, later)


def test_in_python() -> None:
    found: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", PAGE, re.S)[0], found)
    for signatures, later, good in VECTORS:
        headers = {"webhook-id": "msg_1", "webhook-timestamp": str(SENT), "webhook-signature": signatures}
        assert found["verified"](SECRETS, headers, BODY.encode(), SENT + later) is good, (signatures, later)


@pytest.mark.skipif(not shutil.which("node"), reason="there is no node here")
def test_in_javascript() -> None:
    asked = """
    const [secrets, body, sent, vectors] = JSON.parse(process.argv[2]);
    const judged = vectors.map(([signatures, later]) => verified(secrets, {
      "webhook-id": "msg_1", "webhook-timestamp": String(sent), "webhook-signature": signatures,
    }, Buffer.from(body), sent + later));
    console.log(JSON.stringify(judged));
    """
    script = re.findall(r"```javascript\n(.*?)```", PAGE, re.S)[0] + asked
    given = json.dumps([SECRETS, BODY, SENT, VECTORS])
    done = subprocess.run(["node", "-", given], input=script, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [good for *_, good in VECTORS]
