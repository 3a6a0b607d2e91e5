"""Alerts over HTTP: listed, told apart, acknowledged once, silenced and ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dashboard.shared.since import read
from server.alerts.machine import RESOLVE_S
from tests.alerts.making import Second, Told, burning, clear
from tests.dashboard.visitor import look, press, said, sign_in
from tests.live.rollups import lead
from tests.site import Site, answer
from tests.slo.making import availability, file, service
from tests.waiting import PATIENCE_S, until

Start = Callable[..., Any]
POLICY = "".join(service(name) + availability(f"{name}-availability", name) for name in ("checkout", "payments"))


async def started(web: Start, database_url: str, tmp_path: Path) -> tuple[Site, Second, str, Told]:
    """A site, a board beside it, a key that may act, and what people are told by the site's own acts."""
    site = await web(SLO_FILE=file(tmp_path, POLICY))
    lead(database_url, 1)
    told = Told()
    site.parts.tell = told.tell
    second = Second(site.parts.db, site.parts.policies, Told())
    return site, second, await site.key("read", "act"), told


def audited(url: str) -> list[tuple[str, str, str]]:
    with psycopg.connect(url) as connection:
        query = "SELECT actor, action, subject FROM audit WHERE action ~ '^(alert|silence)[.]' ORDER BY id"
        return connection.execute(query).fetchall()


@pytest.mark.gen_test
async def test_alerts_and_what_became_of_one(web: Start, database_url: str, tmp_path: Path) -> None:
    site, second, key, _ = await started(web, database_url, tmp_path)
    now = time.time() - 100
    await second.at(now, burning(), burning("payments", bad_ratio=0.7))
    await second.at(now + 10, burning(), clear("payments"))
    await second.at(now + 11 + RESOLVE_S, burning(), clear("payments"))

    async def alerts(query: str) -> list[tuple[str, str]]:
        found = answer(await site.fetch(f"/api/v1/alerts{query}", key=key))["alerts"]
        return [(one["service"], one["state"]) for one in found]

    assert await alerts("") == [("checkout", "firing")]
    assert await alerts("?state=resolved") == [("payments", "resolved")]
    assert len(await alerts("?state=all")) == 2
    assert await alerts("?state=all&service=payments&objective=checkout-availability") == []
    first = answer(await site.fetch("/api/v1/alerts?state=all&limit=1", key=key))
    rest = answer(await site.fetch(f"/api/v1/alerts?state=all&limit=1&before={first['next']}", key=key))
    assert rest["next"] is None
    assert {first["alerts"][0]["id"], rest["alerts"][0]["id"]} == {1, 2}

    (payments,) = [one for one in first["alerts"] + rest["alerts"] if one["service"] == "payments"]
    detail = answer(await site.fetch(f"/api/v1/alerts/{payments['id']}", key=key))
    assert detail["alert"]["severity"] == 1
    assert detail["alert"]["time_to_detect_s"] == pytest.approx(3, abs=0.01)
    assert detail["alert"]["time_to_resolve_s"] == pytest.approx(
        13, abs=0.01
    )  # of the failure, not until that was sure
    assert [event["kind"] for event in detail["events"]] == ["detected", "fired", "told", "resolved"]
    assert detail["events"][0]["at"].endswith("Z")
    measures = answer(await site.fetch("/api/v1/alerts/measures", key=key))
    assert (measures["fired"], measures["mean_time_to_acknowledge_s"]) == (2, None)
    assert measures["mean_time_to_detect_s"] == pytest.approx(3, abs=0.01)
    for path in ("/api/v1/alerts/77", "/api/v1/alerts/x", "/api/v1/alerts/99999999999999999999"):
        assert (await site.fetch(path, key=key)).code == 404


@pytest.mark.gen_test
async def test_acknowledged_once_whoever_presses(web: Start, database_url: str, tmp_path: Path) -> None:
    site, second, key, told = await started(web, database_url, tmp_path)
    other = await site.key("read", "act", name="other")
    await second.at(time.time(), burning())
    heard: list[int] = []
    site.parts.bus.subscribe("alerts", heard.append)
    path = "/api/v1/alerts/1/acknowledge"
    answers = await asyncio.gather(*(site.fetch(path, method="POST", key=k) for k in (key, other) for _ in range(3)))
    done = [answer(each) for each in answers]
    assert [each.code for each in answers] == [200] * 6
    assert sum(not each["already"] for each in done) == 1
    (by,) = {each["alert"]["acknowledged_by"] for each in done}
    late = next(each["message"] for each in done if each["already"])
    assert late.startswith(f"Already acknowledged by {by}, ")
    assert told.events() == [("checkout", "acknowledge")]
    assert audited(database_url) == [(by, "alert.acknowledge", "alert 1")]
    (alert,) = await second.at(time.time(), burning())
    assert alert.acknowledged_by == by
    await until(lambda: heard == [1], "the signal")

    reader = await site.key("read", name="reader")
    assert (await site.fetch(path, method="POST", key=reader)).code == 403
    assert (await site.fetch("/api/v1/alerts/9/acknowledge", method="POST", key=key)).code == 404
    later = time.time() + 5
    await second.at(later, burning("payments"), clear())
    await second.at(later + 1 + RESOLVE_S, burning("payments"), clear())
    over = await site.fetch(path, method="POST", key=key)
    assert (over.code, answer(over)["already"]) == (200, True)  # it is over, and was acknowledged
    await second.at(later + 2 + RESOLVE_S, clear("payments"))
    await second.at(later + 3 + 2 * RESOLVE_S, clear("payments"))
    over = await site.fetch("/api/v1/alerts/2/acknowledge", method="POST", key=key)
    assert (over.code, answer(over)["code"]) == (409, "CONFLICT")


@pytest.mark.gen_test
async def test_an_acknowledgement_that_cannot_be_told_is_not_kept(
    web: Start, database_url: str, tmp_path: Path
) -> None:
    site, second, key, told = await started(web, database_url, tmp_path)
    await second.at(time.time(), burning())
    told.fails = True
    assert (await site.fetch("/api/v1/alerts/1/acknowledge", method="POST", key=key)).code == 503
    assert audited(database_url) == []
    (alert,) = await second.at(time.time(), burning())
    assert alert.acknowledged_by == ""


@pytest.mark.gen_test
async def test_a_silence_keeps_quiet_until_it_is_ended(web: Start, database_url: str, tmp_path: Path) -> None:
    site, second, key, _ = await started(web, database_url, tmp_path)
    asked = {"service": "checkout", "minutes": 60, "reason": " load \n test "}
    made = await site.fetch("/api/v1/silences", method="POST", key=key, data=asked)
    assert (made.code, answer(made)["silence"]["reason"]) == (201, "load test")
    again = await site.fetch("/api/v1/silences", method="POST", key=key, data=asked)
    assert (again.code, answer(again)["already"]) == (200, True)
    other = asked | {"service": "payments", "minutes": 1}
    once = await asyncio.gather(*(site.fetch("/api/v1/silences", method="POST", key=key, data=other) for _ in range(6)))
    assert sorted(each.code for each in once) == [200] * 5 + [201]
    assert len({answer(each)["silence"]["id"] for each in once}) == 1
    payments = answer(once[0])["silence"]["id"]
    await site.fetch(f"/api/v1/silences/{payments}/end", method="POST", key=key)
    await second.at(time.time(), burning(), burning("payments"))
    assert second.told.events() == [("payments", "trigger")]
    listed = answer(await site.fetch("/api/v1/silences", key=key))
    assert [(one["service"], one["author"]) for one in listed["active"]] == [("checkout", "key:test")]
    ended = [await site.fetch("/api/v1/silences/1/end", method="POST", key=key) for _ in range(2)]
    assert [answer(one)["already"] for one in ended] == [False, True]
    assert answer(ended[1])["message"].startswith("Already ended by key:test, ")
    await second.at(time.time(), burning(), burning("payments"))
    assert second.told.events() == [("checkout", "trigger")]
    assert [action for _, action, _ in audited(database_url)] == [
        "silence.create",
        "silence.create",
        "silence.end",
        "silence.end",
    ]
    assert (await site.fetch("/api/v1/silences/7/end", method="POST", key=key)).code == 404


@pytest.mark.gen_test
async def test_what_cannot_be_silenced_is_named(web: Start, database_url: str, tmp_path: Path) -> None:
    site, _, key, _ = await started(web, database_url, tmp_path)
    good = {"service": "checkout", "minutes": 60, "reason": "load test"}
    for wrong, field in (
        ({"minutes": 0}, "minutes"),
        ({"minutes": 43_201}, "minutes"),
        ({"reason": " "}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": "a\u202eb"}, "reason"),
        ({"service": ""}, "service"),
        ({"service": "chekout"}, "service"),
        ({"objective": "payments-availability"}, "objective"),
        ({"until": "tomorrow"}, "until"),
        (matched("team", "=", "a"), "matchers[0].label"),
        (matched("service", "==", "a"), "matchers[0].operator"),
        (matched("severity", "=", "4"), "matchers[0].value"),
        (matched("service", "=~", "(a"), "matchers[0].value"),
        ({"service": "", "matchers": [{"label": "kind"}]}, "matchers[0].operator"),
        (matched("service", "=~", ".+"), "matchers"),
        (matched("service", "!=", "payments"), "matchers"),
        (matched("service", "=~", "shop.*"), "matchers"),
    ):
        found = await site.fetch("/api/v1/silences", method="POST", key=key, data=good | wrong)
        assert (found.code, answer(found)["errors"][0]["field"]) == (422, field), wrong
    assert answer(await site.fetch("/api/v1/silences", key=key))["active"] == []


def matched(label: str, operator: str, value: str) -> dict[str, Any]:
    return {"service": "", "matchers": [{"label": label, "operator": operator, "value": value}]}


@pytest.mark.gen_test
async def test_matchers_keep_quiet_what_all_of_them_match(web: Start, database_url: str, tmp_path: Path) -> None:
    site, second, key, _ = await started(web, database_url, tmp_path)
    cookie = await sign_in(site, "commander")
    asked = matched("service", "=~", "check.*") | {"minutes": 60, "reason": "load test"}
    asked["matchers"].append({"label": "severity", "operator": "!=", "value": "1"})
    made = [await site.fetch("/api/v1/silences", method="POST", key=key, data=asked) for _ in range(2)]
    assert [each.code for each in made] == [201, 200]
    assert answer(made[0])["silence"]["matchers"] == asked["matchers"]
    assert answer(made[0])["silence"]["service"] == ""
    await second.at(time.time(), burning(), burning("payments"))
    assert second.told.events() == [("payments", "trigger")]
    page = (await look(site, "/alerts", cookie)).body.decode()
    assert "service=~&#34;check.*&#34;, severity!=&#34;1&#34;" in page
    await second.at(time.time(), burning(bad_ratio=0.7), burning("payments"))  # worse: no longer meant
    assert second.told.events() == [("checkout", "trigger")]
    with psycopg.connect(database_url) as connection:  # a release that knows no matchers silences nothing by it
        assert connection.execute("SELECT service FROM silences").fetchone() == ("(matchers)",)

    line = '{service!~"pay.*", kind=availability}'
    refused = await press(site, "/alerts/silence", cookie, what="", matchers="pay", minutes=60, reason="test")
    assert said(refused, site).startswith("matchers: pay cannot be read")
    done = await press(
        site, "/alerts/silence", cookie, what="objective:checkout-availability", matchers=line, minutes=60, reason="x"
    )
    assert 'checkout-availability, service!~"pay.*", kind="availability"' in said(done, site)


@pytest.mark.gen_test
async def test_the_pages_act_and_say_what_they_did(web: Start, database_url: str, tmp_path: Path) -> None:
    site, second, _, _ = await started(web, database_url, tmp_path)
    cookie, viewer = await sign_in(site, "commander"), await sign_in(site, "viewer")
    empty = (await look(site, "/alerts", cookie)).body.decode()
    assert "No open alert" in empty
    await second.at(time.time(), burning())
    page = (await look(site, "/alerts", cookie)).body.decode()
    assert "1 alert fires" in page
    assert "SEV-2" in page
    assert 'action="/alerts/acknowledge"' in page
    assert 'action="/alerts/' not in (await look(site, "/alerts", viewer)).body.decode()
    assert (await press(site, "/alerts/acknowledge", viewer, id=1)).code == 403

    done = await press(site, "/alerts/acknowledge", cookie, id=1, next="/alerts/1")
    assert (done.code, done.headers["Location"]) == (303, "/alerts/1")
    assert said(done, site) == "Acknowledged: checkout. Nobody else is told."
    assert "Already acknowledged by commander-" in said(await press(site, "/alerts/acknowledge", cookie, id=1), site)
    assert "Acknowledged by commander-" in (await look(site, "/alerts/1", cookie)).body.decode()

    refused = await press(site, "/alerts/silence", cookie, what="objective:nothing", minutes=60, reason="test")
    assert "Nothing was silenced" in said(refused, site)
    await press(site, "/alerts/silence", cookie, what="service:checkout", minutes=60, reason="<b>load</b> test")
    page = (await look(site, "/alerts", cookie)).body.decode()
    assert "&lt;b&gt;load&lt;/b&gt; test" in page
    ended = await press(site, "/alerts/silence/end", cookie, id=1)
    assert said(ended, site) == "The silence of checkout has ended. What still fires is told now."
    assert (await look(site, "/alerts/77", cookie)).code == 404


@pytest.mark.gen_test
async def test_the_page_lists_each_outage_of_an_alert(web: Start, database_url: str, tmp_path: Path) -> None:
    site, second, _, _ = await started(web, database_url, tmp_path)
    cookie, now = await sign_in(site), int(time.time()) - 400
    await second.at(now, burning())
    await second.at(now + 40, clear())
    await second.at(now + 40 + RESOLVE_S, clear())
    await second.at(now + 300, burning())
    page = (await look(site, "/alerts/1", cookie)).body.decode()
    listed = page[page.index('id="alert-outages"') :]
    first, again = listed.index('data-key="outage-1"'), listed.index('data-key="outage-2"')
    assert again < first
    assert "goes on" in listed[again:first]
    assert "after 3 s" in listed[again:first]
    assert "43 s" in listed[first : listed.index("</table>")]


@pytest.mark.gen_test
async def test_an_act_starts_a_counter_of_what_fails_since(web: Start, database_url: str, tmp_path: Path) -> None:
    site, second, _, _ = await started(web, database_url, tmp_path)
    cookie, key, now = await sign_in(site), await site.key("ingest", "act"), int(time.time()) - 60
    one = {"service": "checkout", "route": "/pay", "method": "POST", "duration_ms": 9}
    await second.at(now, burning())
    assert "since-act" not in (await look(site, "/alerts/1", cookie)).body.decode().split("alert-facts")[0]

    async def send(status: int, count: int, ago_s: int) -> None:
        sent = [one | {"status": status, "timestamp": (now + 60 - ago_s) * 1000}] * count
        assert (await site.fetch("/api/v1/outcomes", method="POST", key=key, data=sent)).code == 201

    bad = {"service": "checkout", "kind": "deploy", "version": "5f2c1a9"}
    assert (await site.fetch("/api/v1/changes", method="POST", key=key, data=bad)).code == 201
    with psycopg.connect(database_url) as connection:  # as if its first outcome had been the first failure
        connection.execute("UPDATE changes SET at = to_timestamp(%s) WHERE kind = 'deploy'", (now - 2,))
    assert await read(site.parts, ("checkout", now - 3, None)) is None, "what began it is no act on it"
    await send(500, 30, 40)
    await send(200, 450, 40)
    told = {"service": "checkout", "kind": "deploy", "version": "4e81b07", "rolls_back": "5f2c1a9"}
    assert (await site.fetch("/api/v1/changes", method="POST", key=key, data=told)).code == 201
    with psycopg.connect(database_url) as connection:  # as if it had been made 20 s ago
        connection.execute("UPDATE changes SET at = to_timestamp(%s) WHERE version = '4e81b07'", (now + 40,))
    await send(200, 312, 10)

    async with asyncio.timeout(PATIENCE_S):  # what was read a moment ago is shown for a second
        while "since-act" not in (page := (await look(site, "/alerts/1", cookie)).body.decode()):
            await asyncio.sleep(0.1)
    assert "Since the rollback" in page
    assert "<b>0 of 312 (before: 30 of 480)</b>" in page
    assert "Enough: it fails less." in page


@pytest.mark.gen_test
async def test_the_page_says_that_what_flapped_is_back(web: Start, database_url: str, tmp_path: Path) -> None:
    site, second, _, _ = await started(web, database_url, tmp_path)
    cookie, now = await sign_in(site), int(time.time()) - 400  # whole seconds: their differences are exact
    for _ in range(3):
        await second.at(now, burning())
        await second.at(now + 1, clear())
        await second.at(now + 1 + RESOLVE_S, clear())
        now += 2 + RESOLVE_S
    said_before = (await look(site, "/alerts", cookie)).body.decode()
    await second.at(now, burning())
    said_now = (await look(site, "/alerts", cookie)).body.decode()
    assert "flapping: open until 15 min clear" in said_before
    assert "back since" not in said_before
    assert "back since" in said_now
