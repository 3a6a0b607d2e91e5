"""Over HTTP: who gets in where, keys over the API, what a cookie may do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tornado.web import create_signed_value

from server.auth.people import create_person
from server.auth.sessions import SESSION_COOKIE
from tests.site import Site, answer
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.gen_test

PASSWORD = "correct horse battery"


async def cookie_of(site: Site, role: str) -> dict[str, str]:
    auth = site.parts.auth
    email = f"{role}@example.com"
    hashed = await auth.passwords.hash(PASSWORD)
    async with site.parts.db.act() as connection:
        await create_person(connection, email, hashed, role, actor="me")
    token = await auth.sign_in(email, PASSWORD, "127.0.0.1", "test")
    signed = create_signed_value(site.env.secret_key, SESSION_COOKIE, token).decode()
    return {"Cookie": f"{SESSION_COOKIE}={signed}"}


async def test_keys_are_made_listed_and_revoked_by_administrators_only(web: Any) -> None:
    site = await web()
    admin, reader = await site.key("admin", name="root"), await site.key("read", name="reader")
    wanted = {"name": "ci", "scopes": ["ingest", "read"]}
    assert (await site.fetch("/api/v1/keys")).code == 401
    refused = await site.fetch("/api/v1/keys", method="POST", key=reader, data=wanted)
    assert (refused.code, answer(refused)["code"]) == (403, "FORBIDDEN")
    made = await site.fetch("/api/v1/keys", method="POST", key=admin, data=wanted)
    assert made.code == 201
    key = answer(made)
    assert (await site.fetch("/api/v1/services", key=key["key"])).code == 200
    listed = await site.fetch("/api/v1/keys", key=admin)
    assert key["key"] not in listed.body.decode()
    assert {k["name"]: k["created_by"] for k in answer(listed)} == {"ci": "key:root", "reader": "test", "root": "test"}
    ended = await site.fetch(f"/api/v1/keys/{key['id']}", method="DELETE", key=admin)
    assert answer(ended)["revoked_at"]
    assert (await site.fetch("/api/v1/services", key=key["key"])).code == 401  # here at once


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"name": "", "scopes": ["read"]}, "name"),
        ({"name": "a", "scopes": ["root"]}, "scopes"),
        ({"name": "a"}, "scopes"),
    ],
)
async def test_a_bad_key_names_its_field(web: Any, data: dict[str, Any], field: str) -> None:
    site = await web()
    refused = await site.fetch("/api/v1/keys", method="POST", key=await site.key("admin"), data=data)
    assert refused.code == 422
    assert answer(refused)["errors"][0]["field"] == field


@pytest.mark.parametrize(("which", "status"), [("999", 404), ("x", 422), ("9" * 30, 422), ("%00", 422)])
async def test_a_key_that_is_not_there(web: Any, which: str, status: int) -> None:
    site = await web()
    refused = await site.fetch(f"/api/v1/keys/{which}", method="DELETE", key=await site.key("admin"))
    assert refused.code == status


async def test_a_session_reads_the_api_but_cannot_act_on_it(web: Any) -> None:
    site = await web()
    admin, viewer = await cookie_of(site, "admin"), await cookie_of(site, "viewer")
    assert (await site.fetch("/api/v1/keys", headers=admin)).code == 200
    assert (await site.fetch("/api/v1/services", headers=viewer)).code == 200
    assert (await site.fetch("/api/v1/keys", headers=viewer)).code == 403
    forged = await site.fetch("/api/v1/keys", method="POST", headers=admin, data={"name": "x", "scopes": ["admin"]})
    assert forged.code == 401  # a page elsewhere could send the cookie along
    both = await site.fetch("/api/v1/services", headers=admin, key="ek_" + "a" * 43)
    assert both.code == 401  # a key that is sent counts alone


async def test_a_key_of_one_process_is_refused_by_another_after_its_revocation(web: Any) -> None:
    one, other = await web("web.1"), await web("web.2")
    admin, key = await one.key("admin"), await one.key("read")
    assert (await other.fetch("/api/v1/services", key=key)).code == 200
    listed = answer(await one.fetch("/api/v1/keys", key=admin))
    (made,) = [k for k in listed if k["scopes"] == ["read"]]
    await one.fetch(f"/api/v1/keys/{made['id']}", method="DELETE", key=admin)
    async with asyncio.timeout(PATIENCE_S):
        while (await other.fetch("/api/v1/services", key=key)).code != 401:
            await asyncio.sleep(0.02)


async def test_the_address_in_the_log_is_what_the_trusted_proxy_saw(web: Any) -> None:
    from server.telemetry.log_store import lines

    site = await web(TRUSTED_PROXIES="1")
    headers = {"X-Forwarded-For": "6.6.6.6, 192.0.2.7", "X-Request-Id": "proxied", "X-Real-Ip": "6.6.6.6"}
    await site.fetch("/api/v1/services?token=hidden", key=await site.key("read"), headers=headers)
    await site.parts.logs.flush()
    async with site.parts.db.ask() as connection:
        (line,) = await lines(connection, "proxied")
    assert line.fields["address"] == "192.0.2.7"
    assert line.fields["who"] == "test"
    assert line.message == "GET /api/v1/services 200"


@pytest.mark.gen_test
async def test_the_line_of_a_single_is_not_kept_and_that_of_a_batch_or_a_refusal_is(web: Any) -> None:
    """At thousands of requests a second they would push out what somebody looks for."""
    from server.telemetry.log_store import lines

    site = await web()
    key = await site.key("ingest")
    good = {"service": "shop", "route": "/", "method": "GET", "status": 200, "duration_ms": 5}
    for name, sent, status in (
        ("good", [good], 201),
        ("bad", [good | {"status": "so"}], 422),
        ("two", [good] * 2, 201),
    ):
        found = await site.fetch("/api/v1/outcomes", method="POST", key=key, data=sent, headers={"X-Request-Id": name})
        assert found.code == status, (name, found.body)
    await site.parts.logs.flush()
    async with site.parts.db.ask() as connection:
        kept = {name: [line.message for line in await lines(connection, name)] for name in ("good", "bad", "two")}
    assert kept == {"good": [], "bad": ["POST /api/v1/outcomes 422"], "two": ["POST /api/v1/outcomes 201"]}


@pytest.mark.gen_test
async def test_the_audit_is_read_page_by_page_by_administrators_only(web: Any) -> None:
    site = await web()
    admin = await site.key("admin")
    for scopes in (("read",), ("ingest",), ("read", "act")):
        assert (await site.fetch("/api/v1/audit", key=await site.key(*scopes))).code == 403
    ids: list[int] = []
    page = answer(await site.fetch("/api/v1/audit?limit=3", key=admin))
    while True:
        ids += [act["id"] for act in page["acts"]]
        if page["next"] is None:
            break
        page = answer(await site.fetch(f"/api/v1/audit?limit=3&before={page['next']}", key=admin))
    everything = answer(await site.fetch("/api/v1/audit", key=admin))
    assert ids == sorted(ids, reverse=True) == [act["id"] for act in everything["acts"]]
    assert len(ids) == 4
    act = everything["acts"][0]
    assert (act["actor"], act["action"]) == ("test", "key.create")
    assert act["at"].endswith("Z")
    assert act["after"]["scopes"] == ["read", "act"]
    assert admin not in str(everything)
    for wrong in ("limit=0", "limit=501", "before=0", "before=x", "before=99999999999999999999"):
        assert (await site.fetch(f"/api/v1/audit?{wrong}", key=admin)).code == 422
