"""Kinds of targets: each is one file; what another version added does no harm."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from server.notify.kinds import KINDS
from tests.conftest import MakeEnv
from tests.dashboard.config_page import text_of
from tests.dashboard.visitor import look, press, said, sign_in
from tests.notify.making import Desk, notice
from tests.notify.receiver import receiving
from tests.notify.sending import office
from tests.site import Site, answer
from tests.waiting import until

Web = Callable[..., Awaitable[Site]]

ROOT = Path(__file__).resolve().parents[2]
ASKS = re.compile(rf"kind\b.*(?:[!=]=|\bin\b)\s*[\[({{]?\s*[\"'](?:{'|'.join(KINDS)})[\"']")


def test_only_its_file_knows_a_kind() -> None:
    assert ASKS.search('if target.kind == "email":')
    assert ASKS.search('{% if draft.kind in ("slack", "email") %}')
    files = [path for folder in ("server", "dashboard", "checks") for path in (ROOT / folder).rglob("*")]
    sources = [path for path in files if path.suffix in (".py", ".html")]
    asking = [str(path) for path in sources if "kinds" not in path.parts and ASKS.search(path.read_text())]
    assert asking == []


def test_each_file_is_one_kind() -> None:
    files = sorted(path.stem for path in (ROOT / "server/notify/kinds").glob("[a-z]*.py"))
    assert sorted(KINDS) == files
    assert list(KINDS) == ["webhook", "slack", "pagerduty", "email", "cdevents"], "in their places on Setup"


@pytest.mark.gen_test
async def test_a_target_of_a_kind_that_is_not_known_here_holds_up_nobody(make_env: MakeEnv) -> None:
    """Two versions run side by side, and a newer one is rolled back."""
    async with receiving() as hook, office(make_env(NOTIFY_ALLOW_PRIVATE="true")) as at:
        at.desk.target("new", "pigeon", "loft 7")
        at.desk.target("ops", "webhook", hook.url)
        async with at.sending():
            await at.tell(notice(at.desk.alert()))
            await until(lambda: at.left() == 1, "the webhook")
            await until(lambda: at.desk.rows("SELECT 1 FROM notifications WHERE last_error <> ''"), "the other")
        assert len(set(hook.keys())) == 1, "at least once: a slow machine may send it again"
        assert at.desk.rows("SELECT last_error FROM notifications WHERE sent_at IS NULL AND gave_up_at IS NULL") == [
            ("this version of Evenkeel does not know its kind",)
        ]


@pytest.mark.gen_test
async def test_a_target_of_a_kind_that_is_not_known_here_is_listed_and_can_be_removed(
    web: Web, database_url: str
) -> None:
    site = await web()
    key = await site.key("admin")
    desk = Desk(database_url)
    made = desk.target("new", "pigeon", "loft 7")
    desk.close()
    (listed,) = answer(await site.fetch("/api/v1/targets", key=key))
    assert (listed["kind"], listed["address"]) == ("pigeon", "…")
    cookie = await sign_in(site)
    assert "pigeon" in text_of((await look(site, "/setup", cookie)).body)
    removed = await press(site, "/setup/targets/remove", cookie, id=made)
    assert "is removed" in said(removed, site)
