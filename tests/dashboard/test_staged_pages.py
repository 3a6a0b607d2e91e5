"""A staged revision on the pages, by forms alone: staged, looked at, paused, promoted, rolled back."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dashboard.config.edit import staged_sentence
from server.config.staged import StagingAsked
from server.picture.picture import Picture, ProcessPicture
from server.slo.model.status import Status
from tests.config.machine import objective
from tests.dashboard.config_page import BATCH, JON, change, in_force, text_of
from tests.dashboard.visitor import look, press, said, show, sign_in
from tests.site import Site
from tests.waiting import until

Web = Callable[..., Awaitable[Site]]

STAGED: dict[str, Any] = {
    "setting": BATCH,
    "value": "100",
    "expected": "1",
    "minutes": "",
    "reason": "smaller",
    "stage": "staged",
    "share": "50",
    "bake": "10",
}


async def text(site: Site, cookie: str) -> str:
    return text_of((await look(site, "/config", cookie)).body)


@pytest.mark.gen_test
async def test_staged_by_a_form_promoted_by_another_and_what_happened_stays(web: Web) -> None:
    site, other = await web("web.1"), await web("web.2")
    cookie = await sign_in(site, "commander")
    blind = await press(site, "/config/change", cookie, **STAGED)
    assert (blind.code, "nothing would guard a staged revision" in text_of(blind.body)) == (503, True)
    assert 'value="smaller"' in blind.body.decode(), "the draft is kept"
    assert "selected>staged" in blind.body.decode()
    for one in (site, other):
        await show(one, 1, slo=Status(1, time.time(), [objective()], {}))
    staged = await press(site, "/config/change", cookie, **STAGED)
    assert said(staged, site) == "Revision 2 is staged on 1 of 2 processes for 10 min."
    await until(
        lambda: {site.parts.settings.revision, other.parts.settings.revision} == {1, 2}, "one of two to have it"
    )
    page = await text(other, cookie)
    assert "Revision 2 staged on 1 of 2 processes" in page
    assert "staged batch items 1000 → 100, in web.1" in page
    assert "Roll back: batch items 100 → 1000" in page
    in_the_way = await press(
        site, "/config/change", cookie, **(STAGED | {"expected": "2", "stage": "", "value": "2000"})
    )
    assert in_the_way.code == 409
    assert "Revision 2 is staged on 1 process: promote it or roll it back first." in text_of(in_the_way.body)
    act = {"revision": "2", "act": "pause"}
    assert said(await press(site, "/config/staged", cookie, **act), site) == "Revision 2 is paused."
    assert "Resume" in await text(site, cookie)
    await press(site, "/config/staged", cookie, **(act | {"act": "promote"}))
    again = await press(site, "/config/staged", cookie, **(act | {"act": "promote"}))
    assert said(again, site).startswith("Already promoted by ")
    await until(lambda: {site.parts.settings.revision, other.parts.settings.revision} == {2}, "both to have it")
    assert "Promoted by " in await text(other, cookie)
    told = text_of((await look(site, "/changes", cookie)).body)
    assert "Revision 2 batch items 1000 → 100 , promoted to every process" in told
    assert "Revision 2 batch items 1000 → 100 , staged on 1 of 2 processes for 10 min" in told
    back = await press(site, "/config/staged", cookie, **(act | {"act": "roll_back"}))
    assert said(back, site) == "Revision 3 (= 1) is in force."
    await until(lambda: other.parts.settings.limits_for(0).ingest_max_batch_items == 1000, "the old limit")
    late = await press(site, "/config/staged", cookie, **(act | {"act": "resume"}))
    assert said(late, site).startswith("Promoted by ")


@pytest.mark.gen_test
async def test_who_may_only_look_sees_it_and_stages_nothing(web: Web) -> None:
    site = await web("web.1")
    await web("web.2")
    cookie = await sign_in(site, "viewer")
    await show(site, 1, slo=Status(1, time.time(), [objective()], {}))
    await change(site, 100, stage=StagingAsked(0.5, 10))
    page = await text(site, cookie)
    assert "Revision 2 staged on 1 of 2 processes" in page
    assert "You may look." in page
    for act in ("promote", "pause", "roll_back", "nonsense"):
        assert (await press(site, "/config/staged", cookie, act=act, revision="2")).code == 403
    assert (await in_force(site.parts)).staged is not None
    mira = await sign_in(site, "commander")
    assert (await press(site, "/config/staged", mira, act="nonsense", revision="2")).code == 422
    assert (await press(site, "/config/staged", mira, act="promote", revision="x")).code == 422
    assert JON.actor in page


def test_the_preview_says_where_and_for_how_long_or_why_not() -> None:
    def picture(count: int) -> Picture:
        processes = [ProcessPicture(i, "web", f"web.{i}", "h", 0, 0, 1, None, 0, 0, 0) for i in range(count)]
        return Picture(1, 0, 1, "h/watch", [], processes, 1, None)

    asked = StagingAsked(0.25, 10)
    promoted = "processes; promoted after 10 min in which no objective starts to burn, else rolled back."
    assert staged_sentence(picture(4), asked) == f"In 1 of 4 {promoted}"
    assert staged_sentence(picture(5), asked) == f"In 2 of 5 {promoted}"
    assert staged_sentence(picture(2), StagingAsked(0.99, 10)) == f"In 1 of 2 {promoted}"
    assert staged_sentence(picture(1), asked).startswith("Cannot be staged: one web process runs")
    assert staged_sentence(picture(4), StagingAsked(0.0, 10)).startswith("Cannot be staged: give a share")
