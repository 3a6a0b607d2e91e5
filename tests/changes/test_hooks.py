"""What platforms tell of changes, over HTTP: who may, what is recorded once, and what comes late or out of order."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from server.changes import hook_handlers
from server.changes.deploys import Deploys
from server.kernel import standard_webhooks
from tests.changes.test_announce import seen
from tests.receivers.test_told_change import SHA, cdevent, deployment
from tests.site import Site, answer

Web = Callable[..., Awaitable[Site]]


def rfc(ago_s: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=ago_s)).isoformat()


async def hook(site: Site, *services: str, name: str = "ci") -> str:
    asked = {"name": name, "services": list(services)}
    made = await site.fetch("/api/v1/hooks", method="POST", key=await site.key("admin"), data=asked)
    assert made.code == 201, made.body
    return str(answer(made)["secret"])


async def changes(site: Site, since: str = "2000-01-01T00:00:00Z") -> list[dict[str, Any]]:
    found = await site.fetch(f"/api/v1/changes?since={since}", key=await site.key("read"))
    return list(answer(found)["changes"])


async def github(site: Site, secret: str, body: bytes, status: int = 200, path: str = "") -> dict[str, Any]:
    signed = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-GitHub-Event": "deployment_status", "X-Hub-Signature-256": signed, "Content-Type": "application/json"}
    found = await site.fetch(f"/api/v1/hooks/github{path}", method="POST", body=body, headers=headers)
    assert found.code == status, found.body
    return dict(answer(found))


@pytest.mark.gen_test
async def test_a_deployment_is_one_change_in_whatever_order_it_is_told(web: Web) -> None:
    site = await web()
    secret = await hook(site)
    await seen(site.parts.db, "0000000", "4e81b07")  # how senders of this service write a commit
    await github(site, secret, deployment("in_progress", rfc(90)))
    told = await github(site, secret, deployment("success", rfc(30)))
    assert (told["already"], told["change"]["version"], told["change"]["state"]) == (True, SHA[:7], "finished")
    for state, ago_s in (("in_progress", 90), ("success", 30), ("inactive", 5)):
        assert (await github(site, secret, deployment(state, rfc(ago_s))))["already"] is (state != "inactive")
    late = await github(site, secret, deployment("success", rfc(7200), id=8, sha="4e81b07" + "0" * 33))
    assert late["already"] is False
    begun = await github(site, secret, deployment("in_progress", rfc(7300), id=8, sha="4e81b07" + "0" * 33))
    assert begun["change"]["at"] < begun["change"]["finished"], "its start came after its end"
    await seen(site.parts.db, SHA[:7])
    await Deploys(site.parts.db).run()
    found = await changes(site)
    assert [one["version"] for one in found] == [SHA[:7], "4e81b07"], "the first outcome is of the same deploy"
    assert [one["detail"].get("late_s", 0) > 7000 for one in found] == [False, True]
    assert [one["author"] for one in found] == ["hook:ci"] * 2


@pytest.mark.gen_test
async def test_a_deploy_that_was_detected_is_the_one_that_is_told_late(web: Web) -> None:
    site = await web()
    secret = await hook(site)
    await seen(site.parts.db, "0000000")
    await seen(site.parts.db, SHA[:7])
    await Deploys(site.parts.db).run()
    told = await github(site, secret, deployment("success", rfc(600)))
    assert (told["already"], told["change"]["author"]) == (True, "hook:ci")
    again = await github(site, secret, deployment("success", rfc(600)))
    assert (len(await changes(site)), again["already"]) == (1, True)


@pytest.mark.gen_test
async def test_who_may_tell(web: Web) -> None:
    site = await web()
    secret, bound = await hook(site), await hook(site, "payments", name="bound")
    twice = await site.fetch("/api/v1/hooks", method="POST", key=await site.key("admin"), data={"name": "CI"})
    assert answer(twice)["errors"][0]["field"] == "name"
    await github(site, "whsec_wrong", deployment(), 403)
    await github(site, bound, deployment(), 200)
    await github(site, secret, deployment(environment="staging", id=9), path="?service=shop")
    assert [one["service"] for one in await changes(site)] == ["shop@staging", "payments"]
    await github(site, await hook(site, "a", "b", name="two"), deployment(), 403)
    body = "payload=" + deployment(id=10).decode().replace(" ", "+").replace("+00:00", "%2B00:00")
    signed = "sha256=" + hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
    headers = {"X-GitHub-Event": "deployment_status", "X-Hub-Signature-256": signed}
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    form = await site.fetch("/api/v1/hooks/github", method="POST", body=body, headers=headers)
    assert answer(form)["change"]["service"] == "checkout", "GitHub sends a form where nobody chose"
    admin = await site.key("admin")
    listed = answer(await site.fetch("/api/v1/hooks", key=admin))
    assert [(one["name"], one["used_at"] is not None) for one in listed] == [
        ("bound", True),
        ("ci", True),
        ("two", True),
    ]
    gone = next(one["id"] for one in listed if one["name"] == "ci")
    assert (await site.fetch(f"/api/v1/hooks/{gone}/remove", method="POST", key=admin)).code == 200
    await github(site, secret, deployment(), 403)
    assert (await site.fetch(f"/api/v1/hooks/{gone}/remove", method="POST", key=admin)).code == 404


@pytest.mark.gen_test
async def test_what_is_signed_as_standard_webhooks_says(web: Web) -> None:
    site = await web()
    secret, now = await hook(site), int(time.time())
    body = json.dumps({"service": "checkout", "kind": "scale", "version": "8 processes"}).encode()

    async def told(key: str = "msg_1", at: int = now, **other: str) -> Any:
        sent = standard_webhooks.headers(secret, key, at, body) | {"Content-Type": "application/json"} | other
        return await site.fetch("/api/v1/hooks/change", method="POST", body=body, headers=sent)

    right = standard_webhooks.standard_signature(secret, "msg_1", now, body)
    assert (await told(**{"webhook-signature": f"v1a,AAAA v1,{'A' * 43}= {right}"})).code == 200
    assert answer(await told())["already"] is True
    assert answer(await told("msg_2"))["already"] is False, "another message is another change"
    for wrong in ({"at": now - 301}, {"at": now + 302}, {"key": ""}):
        assert (await told(**wrong)).code == 403, wrong  # type: ignore[arg-type]
    for header in ("v1a,AAAA", "v2" + right[2:], "", right[:-4]):
        assert (await told(**{"webhook-signature": header})).code == 403, header
    assert (await told(**{"webhook-timestamp": "9" * 5000})).code == 403
    token = {"X-Gitlab-Token": secret, "Content-Type": "application/json"}
    other = await site.fetch("/api/v1/hooks/gitlab", method="POST", body=b'{"object_kind": "push"}', headers=token)
    assert answer(other)["change"] is None


@pytest.mark.gen_test
async def test_a_change_event_as_pagerdutys_client_sends_it(web: Web, database_url: str) -> None:
    site = await web()
    key = await site.key("act")
    # What pagerduty 7.2.0 posts.
    body: dict[str, Any] = {"payload": {"summary": "x", "source": "ci"}, "routing_key": key}
    dated = {"summary": "deployed v2", "timestamp": rfc(200_000), "source": "ci", "custom_details": {"sha": "abc"}}
    for sent in (body, body, body | {"payload": dated}, body | {"payload": dated}):
        found = await site.fetch("/v2/change/enqueue", method="POST", data=sent)
        assert (found.code, answer(found)["status"]) == (202, "success")
    first, second = await changes(site)
    assert (first["kind"], first["summary"], first["detail"]["time"]) == ("other", "x", "receipt")
    assert (second["kind"], second["version"], second["detail"]["late_s"] > 190_000) == ("deploy", "abc", True)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE changes SET at = at - interval '11 minutes' WHERE version = ''")
    await site.fetch("/v2/change/enqueue", method="POST", data=body)
    assert len(await changes(site)) == 3, "what is told of a while later without a time is another one"
    for wrong, status in (({"routing_key": "R" * 32}, 401), ({"routing_key": await site.key("read")}, 403)):
        assert (await site.fetch("/v2/change/enqueue", method="POST", data=body | wrong)).code == status


@pytest.mark.gen_test
async def test_a_roll_back_that_says_only_where_to(web: Web) -> None:
    site = await web()
    key = await site.key("act")

    async def told(number: int | str, what: str, version: str, ago_s: float) -> Any:
        event = cdevent(what, artifactId=version)
        event["context"] |= {"id": str(number), "timestamp": rfc(ago_s)}
        return answer(await site.fetch("/api/v1/hooks/cdevents", method="POST", key=key, data=event))

    await told(1, "deployed", "v2", 50)
    back = await told(2, "rolledback", "v1", 20)
    assert back["change"]["summary"] == "version v1 (rolls back v2)", "v1 was never heard of"
    late = await told(3, "deployed", "v1", 90)
    assert late["change"]["summary"] == "version v1", "what ran then was nothing, and v2 came later"
    assert (await told(3, "deployed", "v1", 90))["already"] is True
    ahead = await told(4, "deployed", "v3", -90)
    assert ahead["errors"][0]["field"] == "finished"
    endless = "".join(map(str, range(5000)))  # no index holds it
    assert [(await told(endless, "deployed", "v4", 10))["already"] for _ in range(2)] == [False, True]


@pytest.mark.gen_test
async def test_what_cannot_be_kept_is_answered_503(
    web: Web, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await web()
    body = {"payload": {"summary": "x", "source": "ci"}, "routing_key": await site.key("act")}
    monkeypatch.setattr(hook_handlers, "STORE_S", 0.2)
    with psycopg.connect(database_url) as holding:
        holding.execute("LOCK TABLE changes IN ACCESS EXCLUSIVE MODE")
        found = await site.fetch("/v2/change/enqueue", method="POST", data=body)
    assert (found.code, found.headers["Retry-After"]) == (503, "2")
