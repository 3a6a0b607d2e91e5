"""Config over HTTP: one press back, editing, lost races, and who may not."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text, update

from server.auth.keys import create_key
from server.tables.processes import processes
from tests.dashboard.config_page import BATCH, change, in_force, text_of
from tests.dashboard.visitor import look, press, said, sign_in
from tests.site import Site
from tests.waiting import PATIENCE_S, until

Web = Callable[..., Awaitable[Site]]


HOSTILE = '<script>alert("1")</script>&'


@pytest.mark.gen_test
async def test_one_press_rolls_back_in_every_process_and_leaves_the_way_back(web: Web) -> None:
    first, second = await web("web.1"), await web("web.2")
    cookie = await sign_in(first, "commander")
    await change(first, 100)
    page = (await look(first, "/config", cookie)).body.decode()
    assert "Roll back to 1: batch items 100 → 1000" in text_of(page.encode())
    answer = await press(first, "/config/rollback", cookie, **{"from": 2, "to": 1})
    assert (answer.code, answer.headers["Location"]) == (303, "/config")
    await until(lambda: second.parts.settings.limits_for(0).ingest_max_batch_items == 1000, "the old limit")
    await until(lambda: second.parts.settings.revision == 3, "revision 3")
    async with asyncio.timeout(PATIENCE_S):
        while "2 of 2 processes" not in (text := text_of((await look(second, "/config", cookie)).body)):
            await asyncio.sleep(0.05)
    assert "Revision 3 (= 1)" in text
    assert "Undo: batch items 1000 → 100, back to 2" in text
    undone = await press(second, "/config/rollback", cookie, **{"from": 3, "to": 2})
    assert said(undone, second) == "Revision 4 (= 2) is in force."
    await until(lambda: first.parts.settings.limits_for(0).ingest_max_batch_items == 100, "the limit again")


@pytest.mark.gen_test
async def test_a_repeated_press_says_who_did_it_and_changes_nothing(web: Web) -> None:
    site = await web()
    mira, jon = await sign_in(site, "commander"), await sign_in(site, "responder")
    await change(site, 100)
    both = await asyncio.gather(
        press(site, "/config/rollback", mira, **{"from": 2, "to": 1}),
        press(site, "/config/rollback", jon, **{"from": 2, "to": 1}),
    )
    told = sorted(said(answer, site) for answer in both)
    assert told[0].startswith("Already rolled back to 1 by ")
    assert told[1] == "Revision 3 (= 1) is in force."
    assert (await in_force(site.parts)).revision.revision == 3


def said_cookie(answer: Any) -> str:
    found = [c for c in answer.headers.get_list("Set-Cookie") if c.startswith("evenkeel_said=")]
    return str(found[0].partition(";")[0])


@pytest.mark.gen_test
async def test_what_is_said_is_said_once(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site, "commander")
    await change(site, 100)
    answer = await press(site, "/config/rollback", cookie, **{"from": 2, "to": 1})
    shown = await look(site, "/config", f"{cookie}; {said_cookie(answer)}")
    assert 'role="status">Revision 3 (= 1) is in force.</div>' in shown.body.decode()
    assert any(c.startswith('evenkeel_said="";') for c in shown.headers.get_list("Set-Cookie"))
    forged = await look(site, "/config", f"{cookie}; evenkeel_said=All is well")
    assert "All is well" not in forged.body.decode()


@pytest.mark.gen_test
async def test_a_press_on_what_is_no_longer_in_force_does_nothing_and_says_who_was_first(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site, "commander")
    await change(site, 100)
    await change(site, 50)
    answer = await press(site, "/config/rollback", cookie, **{"from": 2, "to": 1})
    assert answer.code == 303
    assert said(answer, site).startswith("jon@example.com saved 3 ")
    assert (await in_force(site.parts)).revision.revision == 3


@pytest.mark.gen_test
async def test_a_press_goes_back_to_where_it_was_and_never_leaves_the_site(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site, "commander")
    await change(site, 100)
    here = await press(site, "/config/rollback", cookie, **{"from": 2, "to": 1, "next": "/"})
    assert here.headers["Location"] == "/"
    away = await press(site, "/config/rollback", cookie, **{"from": 2, "to": 1, "next": "//evil.example"})
    assert away.headers["Location"] == "/config"


@pytest.mark.gen_test
async def test_a_viewer_sees_everything_and_can_do_nothing(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site, "viewer")
    await change(site, 100, minutes=2)
    page = (await look(site, "/config", cookie)).body.decode()
    assert "batch items 1000 → 100" in text_of(page.encode())
    assert "takes the role responder, commander or admin" in page
    main = page.partition("<main")[2].partition("</main>")[0]
    assert "<form" not in main
    assert "<button" not in main
    for path in ("rollback", "change", "extend"):
        answer = await press(site, f"/config/{path}", cookie, **{"from": 2, "to": 1, "setting": BATCH, "until": 9})
        assert answer.code == 403
    for path in (f"/config/edit?setting={BATCH}", f"/config/preview?setting={BATCH}&value=1"):
        assert (await look(site, path, cookie)).code == 403
    assert (await in_force(site.parts)).revision.revision == 2


@pytest.mark.gen_test
async def test_no_get_acts(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    await change(site, 100)
    for path in ("rollback?from=2&to=1", f"change?setting={BATCH}&value=1&expected=2&reason=x", "extend"):
        assert (await look(site, f"/config/{path}", cookie)).code == 405
    assert (await in_force(site.parts)).revision.revision == 2


@pytest.mark.gen_test
async def test_a_value_is_saved_for_one_key_for_a_while(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site, "responder")
    await site.key("ingest", name="ci-loadgen")
    page = (await look(site, "/config", cookie)).body.decode()
    key_id = int(re.findall(r'value="key:(\d+)">ci-loadgen', page)[0])
    answer = await press(
        site,
        "/config/change",
        cookie,
        setting=BATCH,
        value="100",
        scope=f"key:{key_id}",
        minutes="30",
        reason=HOSTILE,
        expected="1",
    )
    assert (answer.code, answer.headers["Location"]) == (303, "/config")
    await until(lambda: site.parts.settings.limits_for(key_id).ingest_max_batch_items == 100, "the limit of the key")
    assert site.parts.settings.limits_for(0).ingest_max_batch_items == 1000
    shown = await look(site, "/config", cookie)
    assert "For ci-loadgen 100 Standing 1000" in text_of(shown.body)
    assert "in 30 min" in text_of(shown.body) or "in 29 min" in text_of(shown.body)
    assert HOSTILE in text_of(shown.body)
    assert "<script>alert" not in shown.body.decode()


@pytest.mark.gen_test
async def test_a_fault_keeps_the_draft_and_names_the_bounds(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site, "responder")
    faults = {
        "20001": "give a whole number from 1 to 20000",
        "0": "give a whole number",
        "abc": "give a whole number",
        "١٠٠": "give a whole number",
        "": "give a whole number",
        HOSTILE: "give a whole number",
    }
    for value, fault in faults.items():
        answer = await press(site, "/config/change", cookie, setting=BATCH, value=value, reason="why", expected="1")
        assert answer.code == 422
        assert fault in text_of(answer.body)
        assert 'name="reason" value="why"' in answer.body.decode()
        assert "<script>alert" not in answer.body.decode()
    silent = await press(site, "/config/change", cookie, setting=BATCH, value="100", reason="  ", expected="1")
    assert silent.code == 422
    assert "say why" in text_of(silent.body)
    assert (await in_force(site.parts)).revision.revision == 1


@pytest.mark.gen_test
async def test_fields_that_cannot_come_from_our_form_are_refused(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site)
    good = {"setting": BATCH, "value": "100", "reason": "why", "expected": "1"}
    for wrong in ({"setting": "PORT"}, {"expected": "one"}, {"minutes": "31"}, {"scope": "key:9999"}, {"scope": "x"}):
        assert (await press(site, "/config/change", cookie, **(good | wrong))).code == 422
    for wrong in ({"from": "x", "to": 1}, {"from": 1, "to": "1 OR 1=1"}, {"from": 77, "to": 1}, {}):
        assert (await press(site, "/config/rollback", cookie, **wrong)).code == 422
    assert (await in_force(site.parts)).revision.revision == 1


@pytest.mark.gen_test
async def test_a_lost_race_shows_both_and_can_be_applied_on_top(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site, "responder")
    await change(site, 50, reason=HOSTILE)
    mine = {"setting": BATCH, "value": "100", "minutes": "30", "reason": "mine"}
    lost = await press(site, "/config/change", cookie, **mine, expected="1")
    text = text_of(lost.body)
    assert lost.code == 412
    assert "jon@example.com saved 2 meanwhile" in text
    assert "batch items 1000 → 50" in text
    assert "batch items 100, for 30 min" in text
    assert HOSTILE in text
    assert "<script>alert" not in lost.body.decode()
    assert (await in_force(site.parts)).revision.revision == 2
    fields = dict(re.findall(r'type="hidden" name="(setting|expected)" value="([^"]*)"', lost.body.decode()))
    assert fields == {"setting": BATCH, "expected": "2"}
    assert (await press(site, "/config/change", cookie, **mine, expected=fields["expected"])).code == 303
    assert (await in_force(site.parts)).settings[1].in_force.value == 100


@pytest.mark.gen_test
async def test_the_preview_says_what_would_have_been_refused_and_from_whom(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site, "responder")
    small, large = await site.key("ingest", name="shop"), await site.key("ingest", name="ci-loadgen")
    async with site.parts.db.act() as connection:  # as our own checks make one
        own = (await create_key(connection, "self-check", ["ingest"], actor="evenkeel")).key
    outcome = {"service": "s", "route": "/", "method": "GET", "status": 200, "duration_ms": 1}
    for key, size in ((small, 8), (large, 92), (own, 700)):
        assert (await site.fetch("/api/v1/outcomes", method="POST", key=key, data=[outcome] * size)).code == 201
    path = f"/config/preview?setting={BATCH}&scope=all&value="
    async with asyncio.timeout(PATIENCE_S):
        while "92 of 100" not in (told := text_of((await look(site, path + "50", cookie)).body)):
            await asyncio.sleep(0.1)
    assert told == "In the last 5 min this would have refused 92 of 100 items, all from ci-loadgen."
    none = text_of((await look(site, path + "5000", cookie)).body)
    assert none == "In the last 5 min this would have refused none of 2 requests."
    assert text_of((await look(site, path + "nonsense", cookie)).body) == ""
    editor = await look(site, f"/config/edit?setting={BATCH}&value=50", cookie)
    assert told in text_of(editor.body), "without JavaScript too"


@pytest.mark.gen_test
async def test_what_ends_soon_can_be_kept_with_one_press(web: Web) -> None:
    site = await web()
    cookie = await sign_in(site, "responder")
    await change(site, 100, minutes=3)
    page = (await look(site, "/config", cookie)).body.decode()
    assert "then 1000." in text_of(page.encode())
    end = int(re.findall(r'name="until" value="(\d+)"', page)[0])
    fields = {"setting": BATCH, "scope": "all", "until": end}
    assert (await press(site, "/config/extend", cookie, **fields)).code == 303
    until_ = (await in_force(site.parts)).settings[1].in_force.until
    assert until_ is not None
    assert until_.timestamp() == pytest.approx(end + 1800, abs=1)
    again = await press(site, "/config/extend", cookie, **fields)
    assert said(again, site).startswith("Already extended")
    assert (await in_force(site.parts)).settings[1].in_force.until == until_


@pytest.mark.gen_test
async def test_a_silent_process_is_named_with_what_it_may_still_enforce(web: Web) -> None:
    site, other = await web("web.1"), await web("web.2")
    cookie = await sign_in(site)
    await change(site, 100)
    await until(lambda: other.parts.settings.revision == 2, "revision 2")
    await other.web.close()
    async with site.parts.db.act() as connection:
        # As if it had been killed: it neither stopped in order nor beats.
        await connection.execute(
            update(processes)
            .where(processes.c.name == "web.2")
            .values(stopped_at=None, heartbeat_at=processes.c.heartbeat_at - text("interval '12 seconds'"))
        )
    await press(site, "/config/rollback", cookie, **{"from": 2, "to": 1})
    async with asyncio.timeout(PATIENCE_S):
        while "may still enforce" not in (shown := text_of((await look(site, "/config", cookie)).body)):
            await asyncio.sleep(0.1)
    assert re.search(r"web\.2 silent for \d+ s; may still enforce batch items 100", shown)
