"""Targets over HTTP: for administrators, without secrets; and PagerDuty's acknowledgements."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tornado.httpclient import HTTPResponse

from server.notify.kinds.pagerduty import incident_key
from server.notify.kinds.webhook import signature
from tests.notify.making import ROUTING_KEY, Desk
from tests.notify.receiver import receiving
from tests.site import Site, answer

Web = Callable[..., Awaitable[Site]]

INBOUND = "inbound-secret-of-pagerduty"


async def post(site: Site, key: str, path: str, **data: Any) -> HTTPResponse:
    return await site.fetch(f"/api/v1/targets{path}", method="POST", key=key, data=data)


@pytest.mark.gen_test
async def test_a_target_from_adding_to_removing(web: Web, database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with receiving() as hook:
        site = await web(NOTIFY_ALLOW_PRIVATE="true")
        key = await site.key("admin")
        made = answer(await post(site, key, "", name="ops", kind="webhook", address=f"{hook.url}?token=s3cret"))
        secret = made["secret"]
        assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret)
        tested = answer(await post(site, key, f"/{made['id']}/test"))
        assert tested["ok"]
        assert re.fullmatch(r"ops: sent in \d+ ms\. Look whether it has arrived\.", tested["message"])
        came = hook.came[0]
        assert came.json["event"] == "test"
        assert came.json["alert"] is None
        stamp = int(came.headers["Evenkeel-Timestamp"])
        assert came.headers["Evenkeel-Signature"] == signature(secret, stamp, came.body)
        hook.answer = lambda came: 410
        tested = answer(await post(site, key, f"/{made['id']}/test"))
        assert (tested["ok"], tested["message"]) == (False, "ops: not sent: HTTP 410 Gone")
        listed = await site.fetch("/api/v1/targets", key=key)
        (shown,) = answer(listed)
        assert (shown["name"], shown["last_error"]) == ("ops", "HTTP 410 Gone")
        assert shown["gave_up_at"] > shown["sent_at"]
        gone = answer(await post(site, key, f"/{made['id']}/remove"))
        assert gone["message"].startswith("ops is removed.")
        assert answer(await post(site, key, f"/{made['id']}/remove"))["message"].startswith("Already removed")
        assert answer(await site.fetch("/api/v1/targets", key=key)) == []
    desk = Desk(database_url)
    acts = desk.rows("SELECT action, before::text, after::text FROM audit WHERE action LIKE 'target.%%' ORDER BY id")
    assert [act[0] for act in acts] == ["target.add", "target.test", "target.test", "target.remove"]
    assert desk.rows("SELECT secret FROM targets") == [("",)]
    desk.close()
    for kept in (json.dumps(acts), listed.body.decode(), caplog.text):
        assert secret not in kept
        assert "s3cret" not in kept


NO_TARGETS = [
    ({"kind": "pigeon"}, "kind"),
    ({"kind": "email", "address": "a@example.com"}, "kind"),  # no SMTP_URL
    ({"name": " "}, "name"),
    ({"step": 0}, "step"),
    ({"step": 10}, "step"),
    ({"address": "http://example.com"}, "address"),
    ({"secret": "short"}, "secret"),
    ({"secret": "whsec_not-base64-of-anything"}, "secret"),
    ({"secret": "whsec_" + "A" * 20}, "secret"),  # of 15 bytes
    ({"secret": "whsec_" + "A" * 43}, "secret"),  # without its padding some libraries refuse it
    ({"kind": "slack", "secret": "x" * 20}, "secret"),
    ({"kind": "pagerduty", "secret": "no key"}, "secret"),
    ({"colour": "red"}, "colour"),
]


@pytest.mark.gen_test
async def test_a_target_that_is_none(web: Web) -> None:
    site = await web()
    key = await site.key("admin")
    for wrong, field in NO_TARGETS:
        wanted = {"name": "ops", "kind": "webhook", "address": "https://example.com/hook"} | wrong
        refused = await post(site, key, "", **wanted)
        assert refused.code == 422, wrong
        assert answer(refused)["errors"][0]["field"] == field, wrong
        assert answer(await site.fetch("/api/v1/targets", key=key)) == [], wrong


@pytest.mark.gen_test
async def test_of_two_at_once_one_has_the_name_until_it_is_removed(web: Web) -> None:
    site = await web()
    key = await site.key("admin")
    wanted = {"kind": "webhook", "address": "https://example.com/hook"}
    both = await asyncio.gather(post(site, key, "", name="ops", **wanted), post(site, key, "", name="OPS", **wanted))
    assert sorted(one.code for one in both) == [201, 422]
    refused = next(one for one in both if one.code == 422)
    assert re.match(r"name: there is a target (ops|OPS) already; .* Nothing was done\.", answer(refused)["detail"])
    made = next(answer(one)["id"] for one in both if one.code == 201)
    assert (await post(site, key, f"/{made}/remove")).code == 200
    assert (await post(site, key, "", name="ops", **wanted)).code == 201


@pytest.mark.gen_test
async def test_for_administrators_only(web: Web) -> None:
    site = await web()
    key = await site.key("ingest", "read", "act")
    assert (await site.fetch("/api/v1/targets", key=key)).code == 403
    for path in ("", "/1/test", "/1/remove", "/1/inbound-secret"):
        assert (await post(site, key, path)).code == 403, path


async def from_pagerduty(site: Site, target_id: int, event: dict[str, Any], secret: str = INBOUND) -> HTTPResponse:
    body = json.dumps({"event": event}).encode()
    good = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-PagerDuty-Signature": f"v1={'0' * 64},v1={good}", "Content-Type": "application/json"}
    return await site.fetch(f"/api/v1/targets/{target_id}/pagerduty", method="POST", body=body, headers=headers)


@pytest.mark.gen_test
async def test_an_acknowledgement_in_pagerduty_is_one_here(web: Web, database_url: str) -> None:
    site = await web()
    key = await site.key("admin", "read")
    made = answer(await post(site, key, "", name="duty", kind="pagerduty", secret=ROUTING_KEY))
    assert made["secret"] is None
    desk = Desk(database_url)
    alert = desk.alert()
    target_id = made["id"]
    event = {
        "id": "01BSC",
        "event_type": "incident.acknowledged",
        "occurred_at": "2026-11-26T03:06:00Z",
        "agent": {"type": "user_reference", "summary": "Mira\nK."},
        "data": {"id": "PGR0", "type": "incident", "incident_key": incident_key(alert)},
    }
    assert (await from_pagerduty(site, target_id, event)).code == 403, "no secret yet"
    kept = await post(site, key, f"/{target_id}/inbound-secret", inbound_secret=INBOUND)
    assert answer(kept)["inbound"] is True
    assert (await from_pagerduty(site, target_id, event, "another-secret-of-it")).code == 403
    async with contextlib.AsyncExitStack() as acts:
        for _ in range(5):  # all that the acts have
            await acts.enter_async_context(site.parts.db.act())
        assert (await from_pagerduty(site, target_id, event, "a-stranger's-own-key")).code == 403
    acknowledged = "SELECT acknowledged_by FROM alerts"
    for quiet in (
        event | {"event_type": "incident.resolved"},
        event | {"data": {"incident_key": "made by hand"}},
        event | {"data": {"incident_key": incident_key(replace(alert, detected_at=alert.detected_at - 1))}},
        {"event_type": "pagey.ping", "agent": None, "data": {"message": "hello"}},
    ):
        assert (await from_pagerduty(site, target_id, quiet)).code == 200
        assert desk.rows(acknowledged) == [("",)]
    assert (await from_pagerduty(site, target_id, event)).code == 200
    assert desk.rows(acknowledged) == [("pagerduty:Mira K.",)]
    again = await from_pagerduty(site, target_id, event | {"agent": {"summary": "Jon"}})
    assert again.code == 200
    assert answer(again)["message"].startswith("Already acknowledged by pagerduty:Mira K.")
    assert desk.rows(acknowledged) == [("pagerduty:Mira K.",)]
    desk.do("UPDATE alerts SET state = 'resolved', acknowledged_at = NULL, resolved_at = now()")
    assert (await from_pagerduty(site, target_id, event)).code == 200, "too late is no fault of PagerDuty's"
    assert desk.rows("SELECT count(*) FROM audit WHERE action = 'alert.acknowledge'") == [(1,)]
    desk.close()


@pytest.mark.gen_test
async def test_what_the_document_tells_receivers_to_do_is_right(web: Web) -> None:
    """The Python of docs/notify.md, on a message that was really received."""
    document = (Path(__file__).resolve().parents[2] / "docs" / "notify.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    told: dict[str, Any] = {}
    exec(code, told)
    async with receiving() as hook:
        site = await web(NOTIFY_ALLOW_PRIVATE="true")
        key = await site.key("admin")
        made = answer(await post(site, key, "", name="ops", kind="webhook", address=hook.url))
        await post(site, key, f"/{made['id']}/test")
        (came,) = hook.came
        verified = told["verified"]
        assert verified(made["secret"], came.headers, came.body)
        assert not verified(made["secret"], came.headers, came.body + b" ")
        assert not verified("another", came.headers, came.body)
        assert not verified(made["secret"], came.headers | {"Evenkeel-Timestamp": "1700000000"}, came.body)
        assert not verified(made["secret"], came.headers, came.body, allowed_s=-1)
