"""What recovers says what it waits for; what has recovered, when and after how long: the failure's length, no more."""

from __future__ import annotations

import time
from html import unescape
from typing import Any

import pytest
from msgspec.structs import replace

from dashboard.now.headline import headline
from dashboard.now.rows import LiveRow, service_rows
from dashboard.shared.recovery import beside_alerts, recovered, waiting
from server.alerts.alert import Alert
from server.picture.picture import Picture
from server.slo.model.memory import Recovery
from server.slo.model.status import State, Status
from tests.dashboard.test_headline import objective, service
from tests.dashboard.visitor import Web, look, show, sign_in
from tests.dashboard.visitor import service as live
from tests.notify.making import an_alert, evidence
from tests.slo.making import SHOP, file

ENDED = 1_799_999_980.0 + 460  # 7 min 40 s after the onset


def recovering(**given: Any) -> Alert:
    return an_alert(recovery=Recovery(ENDED, 0, 402, 118.0), **given)


def over(**given: Any) -> Alert:
    return an_alert(state="resolved", fired_at=1.0, over_at=ENDED, resolved_at=ENDED + 160, **given)


def row(state: State, *alerts: Alert) -> tuple[Picture, LiveRow]:
    status = Status(1, 1.0, [objective("checkout", state, onset=5.0)], {"checkout": state})
    picture = Picture(1, 1.0, 1, "w", [service("checkout")], [], 1, None, status, list(alerts))
    return picture, service_rows(picture)[0]


@pytest.mark.parametrize("state", ["burning", "at_risk", "ok"])
def test_it_recovers_once_every_open_alert_says_so(state: State) -> None:
    picture, found = row(state, recovering())
    assert found.look.word == "Recovering"
    assert found.waits_for is not None
    assert (found.waits_for.counted, found.waits_for.since, found.waits_for.sure) == (
        "0 of 402 failed",
        ENDED,
        "sure in 2 min",
    )
    head = headline(picture, [found])
    assert (head.text, head.when) == ("Recovering: checkout", "sure in 2 min")
    assert [one.name for one in found.hit] == ["checkout-availability"]
    _, both = row(state, recovering(), an_alert(id=2, objective="checkout-latency"))
    assert (both.look.word, both.waits_for) == ("At risk" if state == "ok" else LOOK[state], None)


LOOK = {"burning": "Burning", "at_risk": "At risk"}


@pytest.mark.parametrize("state", ["blind", "partial"])
def test_nothing_recovers_while_not_all_is_known(state: State) -> None:
    assert beside_alerts(state, [recovering()]) == state


def test_of_several_the_one_that_waits_longest_is_told() -> None:
    slow = an_alert(
        id=2, evidence=evidence(threshold_ms=300.0, kind="latency"), recovery=Recovery(ENDED + 5, 1, 90, 400.0)
    )
    found = waiting([recovering(), slow])
    assert found is not None
    assert (found.counted, found.sure) == ("1 of 90 over 300 ms", "sure in 6 min 40 s")
    bare = waiting([replace(slow, recovery=Recovery(ENDED, 0, 0, 0.0))])
    assert bare is not None
    assert (bare.counted, bare.sure) == ("Clear", "sure any moment")


def test_what_has_recovered_lasted_as_long_as_its_failure() -> None:
    found = recovered([over(id=1), an_alert(id=2, state="resolved", resolved_at=ENDED + 999)])
    assert found is not None, "one that never fired told nobody"
    assert (found.alert_id, found.at, found.after_s) == (1, ENDED, 460.0)
    _, well = row("ok", over())
    assert well.recovered == found
    _, back = row("burning", over(), an_alert(id=2))
    assert back.recovered is None


@pytest.mark.gen_test
async def test_every_page_says_that_it_recovers_and_that_it_has(web: Web, tmp_path: Any) -> None:
    site = await web(SLO_FILE=file(tmp_path, SHOP))
    cookie = await sign_in(site, "viewer")
    held = objective("shop", "burning")
    held.name = "shop-works"
    status = Status(1, time.time(), [held], {"shop": "burning"})
    pages = ("/", "/services/shop", "/objectives/shop-works")

    async def shown(path: str) -> str:
        return unescape((await look(site, path, cookie)).body.decode())

    given = {"service": "shop", "objective": "shop-works"}
    await show(site, 1, live("shop"), slo=status, alerts=[recovering(**given)])
    for path in pages:
        body = await shown(path)
        assert "Recovering" in body, path
        assert "0 of 402 failed since <time" in body, path
        assert "sure in 2 min" in body, path
    await show(site, 2, live("shop"), slo=status, alerts=[over(**given)])
    status.services["shop"] = held.state = "ok"
    await show(site, 3, live("shop"), slo=status, alerts=[over(**given)])
    for path in pages:
        body = await shown(path)
        assert "Recovered <time" in body, path
        assert "after 7 min 40 s" in body, path
