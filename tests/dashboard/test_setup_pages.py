"""Setup over HTTP: a key is shown once, people come and go, sessions end; for administrators only."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from server.changes import store
from server.kernel.ids import uuid7
from server.selfcheck import store as check_store
from server.selfcheck.findings import CheckResult, Finding
from server.tables.people import api_keys, audit, users
from tests.dashboard.config_page import text_of
from tests.dashboard.visitor import PASSWORD, look, press, said, sign_in
from tests.site import Site

Web = Callable[..., Awaitable[Site]]

HOSTILE = "<script>alert(1)</script>"
ADMIN_ONLY = (
    "keys",
    "keys/revoke",
    "people",
    "people/change",
    "targets",
    "targets/remove",
    "targets/test",
    "targets/inbound-secret",
)


@pytest.mark.gen_test
async def test_a_key_is_shown_once_and_works_until_it_is_revoked(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    made = await press(site, "/setup/keys", cookie, name="ci-loadgen", scope=["ingest", "read"])
    key = re.findall(r"ek_[A-Za-z0-9_-]{43}", made.body.decode())[0]
    assert made.headers["Cache-Control"] == "no-store"
    assert (await site.fetch("/api/v1/services", key=key)).code == 200
    page = (await look(site, "/setup", cookie)).body.decode()
    assert key not in page
    assert "ci-loadgen" in page
    assert key[:9] in page
    key_id = re.findall(r'action="/setup/keys/revoke".*?name="id" value="(\d+)"', page, re.DOTALL)[0]
    revoked = await press(site, "/setup/keys/revoke", cookie, id=key_id)
    assert said(revoked, site).startswith("ci-loadgen (")
    async with site.parts.db.ask() as connection:
        assert (await connection.execute(select(api_keys.c.revoked_at))).scalar_one() is not None
        actors = list((await connection.execute(select(audit.c.actor).where(audit.c.action.like("key.%")))).scalars())
    assert len(actors) == 2
    assert all(actor.startswith("admin-") for actor in actors)
    await site.parts.auth.keys.fresh.now()
    assert (await site.fetch("/api/v1/services", key=key)).code == 401


@pytest.mark.gen_test
async def test_a_key_needs_a_name_and_known_scopes(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    for fields in ({"name": " ", "scope": "ingest"}, {"name": "a"}, {"name": "a", "scope": "root"}):
        answer = await press(site, "/setup/keys", cookie, **fields)
        assert (answer.code, answer.headers["Location"]) == (303, "/setup")
        assert said(answer, site)
    async with site.parts.db.ask() as connection:
        assert (await connection.execute(select(func.count()).select_from(api_keys))).scalar_one() == 0


@pytest.mark.gen_test
async def test_only_administrators_see_and_make_keys_and_people(web: Web) -> None:
    site = await web()
    await site.key("ingest", name="secret-service")
    for role in ("viewer", "responder", "commander"):
        cookie = await sign_in(site, role)
        text = text_of((await look(site, "/setup", cookie)).body)
        assert "Keys, people and targets are for administrators." in text
        assert "secret-service" not in text
        for path in ADMIN_ONLY:
            answer = await press(
                site, f"/setup/{path}", cookie, id="1", name="x", scope="admin", do="role", role="admin"
            )
            assert answer.code == 403
    async with site.parts.db.ask() as connection:
        assert (await connection.execute(select(func.count()).select_from(api_keys))).scalar_one() == 1


@pytest.mark.gen_test
async def test_administrators_see_who_did_what(web: Web) -> None:
    site = await web()
    cookie, viewer = await sign_in(site), await sign_in(site, "viewer")
    made = await press(site, "/setup/keys", cookie, name=f"ci {HOSTILE}", scope="ingest")
    page = (await look(site, "/setup", cookie)).body.decode()
    section = page[page.index('id="audit-title"') :]
    assert section.index("key.create") < section.index("session.open")
    assert f"/requests?id={made.headers['X-Request-Id']}" in section
    assert HOSTILE in text_of(section.encode())
    assert HOSTILE not in page
    assert "audit-title" not in (await look(site, "/setup", viewer)).body.decode()


@pytest.mark.gen_test
async def test_a_person_is_added_changed_and_disabled(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    added = await press(site, "/setup/people", cookie, email="Jon@Example.com", role="viewer", password=PASSWORD)
    assert said(added, site) == "jon@example.com can sign in now, as viewer."
    async with site.parts.db.ask() as connection:
        jon = (await connection.execute(select(users.c.id).where(users.c.email == "jon@example.com"))).scalar_one()
    steps = {
        "role": "jon@example.com is commander now.",
        "password": "jon@example.com has a new password; sessions with the old one have ended.",
        "disable": "jon@example.com is signed out everywhere.",
        "enable": "jon@example.com may sign in again.",
    }
    new = PASSWORD + "!"
    for do, told in steps.items():
        answer = await press(site, "/setup/people/change", cookie, id=jon, do=do, role="commander", password=new)
        assert said(answer, site) == told
        signing_in = await press(site, "/sign-in", email="jon@example.com", password=new)
        assert signing_in.code == (303 if do in ("password", "enable") else 401)


@pytest.mark.gen_test
async def test_what_cannot_be_done_with_people_is_told(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    async with site.parts.db.ask() as connection:
        me, email = (await connection.execute(select(users.c.id, users.c.email))).one()
    last = await press(site, "/setup/people/change", cookie, id=me, do="disable")
    assert said(last, site) == f"{email} is the last administrator; make another one first."
    for fields in ({"email": "no address", "password": PASSWORD}, {"email": "a@b.example", "password": "short"}):
        answer = await press(site, "/setup/people", cookie, role="viewer", **fields)
        assert answer.headers["Location"] == "/setup"
    again = await press(site, "/setup/people", cookie, email=email, role="viewer", password=PASSWORD)
    assert said(again, site) == f"{email} exists already. Nothing was done."
    assert said(await press(site, "/setup/people/change", cookie, id=me, do="delete"), site) == "Choose what to do."
    async with site.parts.db.ask() as connection:
        assert (await connection.execute(select(func.count()).select_from(users))).scalar_one() == 1


@pytest.mark.gen_test
async def test_a_session_is_ended_by_its_owner_or_an_administrator_and_nobody_else(web: Web) -> None:
    site = await web()
    jon, eve, admin = await sign_in(site, "viewer"), await sign_in(site, "viewer"), await sign_in(site)
    page = (await look(site, "/setup", jon)).body.decode()
    (mine,) = re.findall(r'action="/setup/sessions/revoke">.*?name="id" value="(\d+)"', page)
    refused = await press(site, "/setup/sessions/revoke", eve, id=mine)
    assert refused.code == 403
    assert (await look(site, "/", jon)).code == 200
    assert (await press(site, "/setup/sessions/revoke", admin, id=mine)).code == 303
    assert (await look(site, "/", jon)).code == 302
    assert said(await press(site, "/setup/sessions/revoke", admin, id=mine), site).startswith(f"Session {mine} is not")


@pytest.mark.gen_test
async def test_checks_are_shown_worst_first_with_what_to_do(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site, "viewer")
    now = datetime.now(UTC)
    finding = Finding("fail", f"disk is full {HOSTILE}", f"make room {HOSTILE}", "/var")
    async with site.parts.db.act() as connection:
        await check_store.record(connection, CheckResult("watch", "pass", now, 3.0, []))
        await check_store.record(connection, CheckResult("disk", "pass", now - timedelta(seconds=9), 3.0, []))
        await check_store.record(connection, CheckResult("disk", "fail", now, 4.0, [finding]))
    page = (await look(site, "/setup", cookie)).body.decode()
    assert page.index("/setup/checks/disk") < page.index("/setup/checks/watch")
    assert f"make room {HOSTILE}" in text_of(page.encode())
    assert HOSTILE not in page
    history = text_of((await look(site, "/setup/checks/disk", cookie)).body)
    assert "The newest 2 results" in history
    assert (await look(site, "/setup/checks/none", cookie)).code == 404


@pytest.mark.gen_test
async def test_what_the_repositorys_checks_find_stands_on_setup_and_is_not_red(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site, "viewer")
    now = datetime.now(UTC)
    finding = Finding("fail", "There is no route /ghost.", "Correct it.", "docs/api.md:3")
    async with site.parts.db.act() as connection:
        await check_store.record(connection, CheckResult("watch", "pass", now, 3.0, []))
        await check_store.record(connection, CheckResult("docs_routes", "fail", now, 4.0, [finding], "1.2.3"))
    text = text_of((await look(site, "/", cookie)).body)
    assert "1 check passes" in text
    assert "ghost" not in text
    for address in ("/setup", "/setup/checks/docs_routes"):
        page = (await look(site, address, cookie)).body.decode()
        assert "There is no route /ghost." in page
        assert "shape-burning" not in page
        assert "fault-line" not in page
    assert "Files of Evenkeel 1.2.3" in text_of((await look(site, "/setup", cookie)).body)


@pytest.mark.gen_test
async def test_a_request_is_found_by_its_id_with_what_it_left_behind(web: Web) -> None:
    site = await web()
    cookie, key = await sign_in(site, "viewer"), await site.key("ingest")
    wanted = uuid7()
    outcome = {"service": HOSTILE, "route": f"/{HOSTILE}", "method": "POST", "status": 500, "duration_ms": 412}
    sent = await site.fetch(
        "/api/v1/outcomes",
        method="POST",
        key=key,
        data=[outcome | {"request_id": wanted, "error_class": "PoolTimeout"}, outcome],
        headers={"X-Request-Id": wanted},
    )
    assert sent.code == 201
    text = ""
    while "log line" not in text or "0 log lines" in text or "1 outcome" not in text:
        page = await look(site, f"/requests?id={wanted}", cookie)
        text = text_of(page.body)
    assert "PoolTimeout" in text
    assert "412 ms" in text
    assert "POST /api/v1/outcomes 201" in text
    assert HOSTILE in text
    assert HOSTILE not in page.body.decode()


@pytest.mark.gen_test
async def test_what_nobody_sent_is_said_to_be_nowhere(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site, "viewer")
    text = text_of((await look(site, f"/requests?id={HOSTILE}%00", cookie)).body)
    assert "Nothing carries this id" in text
    assert "Outcomes are kept for 7 days, log lines for 72 hours" in text
    assert (await look(site, "/requests", cookie)).code == 200


@pytest.mark.gen_test
async def test_changes_and_objectives_are_there_and_inert(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site, "viewer")
    async with site.parts.db.act() as connection:
        for number in range(60):
            await store.record(connection, "deploy", "shop", str(number), f"deploy {number} {HOSTILE}", author=HOSTILE)
        await store.record(connection, "flag", "other", "", "checkout-v2 on", author="jon", detail="plain text")
    page = await look(site, "/changes", cookie)
    text = text_of(page.body)
    assert text.index("checkout-v2 on") < text.index("deploy 59") < text.index("deploy 11 ")
    assert "deploy 10 " not in text
    assert HOSTILE not in page.body.decode()
    older = re.findall(r'href="(/changes\?before=\d+)"', page.body.decode())[0]
    assert "deploy 10 " in text_of((await look(site, older, cookie)).body)
    only = text_of((await look(site, "/changes?service=other", cookie)).body)
    assert "checkout-v2 on" in only
    assert "deploy 59" not in only
    objectives = text_of((await look(site, "/objectives", cookie)).body)
    assert "99.9 % of requests succeed, over 28 days" in objectives
    assert "100 %" not in objectives, "nothing was counted: no value, and not a perfect one"
