"""Webhooks are signed as Standard Webhooks says: https://www.standardwebhooks.com.

Checked by hand against the package standardwebhooks 1.1.0, which verified what is sent, by a secret made here, by an
older one and by one that was given.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from server.kernel import standard_webhooks
from server.notify.kind import Parcel, Post
from server.notify.kinds import KINDS
from server.notify.target import Target
from tests.conftest import MakeEnv
from tests.notify.making import an_alert, notice
from tests.notify.receiver import Came, receiving
from tests.notify.sending import office
from tests.waiting import until

KEY = bytes(range(32))
AS_BASE64 = "whsec_" + base64.b64encode(KEY).decode()
UNREADABLE = "whsec_?" * 4
OLDER = "ew_aB3-_x9QaB3-_x9QaB3-_x9QaB3-_x9QaB3-_x9Qabc"


def expected(key: bytes, came: Came) -> str:
    signed = f"{came.headers['Webhook-Id']}.{came.headers['Webhook-Timestamp']}.".encode() + came.body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


@pytest.mark.parametrize(
    ("secret", "key"), [(AS_BASE64, KEY), (OLDER, OLDER.encode()), ("whsec_?" * 4, b"whsec_?" * 4)]
)
@pytest.mark.gen_test
async def test_what_is_received_is_signed_by_the_secret(make_env: MakeEnv, secret: str, key: bytes) -> None:
    """One of base64 stands for its bytes; any other, also one stored before there was a rule, is a key as it is."""
    async with receiving() as hook, office(make_env(NOTIFY_ALLOW_PRIVATE="true")) as at, at.sending():
        at.desk.target("ops", "webhook", hook.url, secret)
        alert = at.desk.alert()
        await at.tell(notice(alert), notice(alert, "update", now=1_800_000_000.123))
        await until(lambda: len(hook.came) == 2, "both")
    for came in hook.came:
        assert came.headers["Webhook-Signature"] == expected(key, came)
        assert came.headers["Webhook-Id"] == came.json["id"] == came.key
        assert "." not in came.headers["Webhook-Id"], "it could be read as two of the three that are signed"
        assert came.headers["Webhook-Timestamp"] == came.headers["Evenkeel-Timestamp"]
        assert came.headers["Evenkeel-Signature"].startswith("v1="), "beside our own"


def test_the_id_stays_and_the_time_is_that_of_the_try() -> None:
    target = Target(1, "ops", "webhook", "https://e", AS_BASE64, "", 1)
    parcel = Parcel(target, "alert-1/trigger/1", "trigger", "text", an_alert())
    posts = [post for now in (100.9, 200.0) for post in KINDS["webhook"].messages(parcel, "https://e", now)]
    assert all(isinstance(post, Post) for post in posts)
    first, second = [post.headers for post in posts if isinstance(post, Post)]
    assert (first["webhook-id"], second["webhook-id"]) == (parcel.key, parcel.key)
    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == ("100", "200")
    assert first["webhook-signature"] != second["webhook-signature"]


def test_an_example_of_the_libraries() -> None:
    """A secret, an id, a time and a body whose signature the tests of the reference libraries name."""
    made = standard_webhooks.standard_signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
