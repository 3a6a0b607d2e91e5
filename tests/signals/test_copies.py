"""A silence made here stands in a real Alertmanager, once, for as long as it does here."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import Request, urlopen

import psycopg
import pytest

from server.signals import copy_store
from server.signals.copying import SilenceCopies
from tests.conftest import free_port
from tests.dashboard.visitor import look, press, said, sign_in
from tests.signals.test_alertmanager import Alertmanager, alertmanager, needed
from tests.signals.told import alert, group
from tests.site import Site, answer
from tests.waiting import until

Web = Callable[..., Awaitable[Site]]
PAGE = "/setup/alertmanager"
__all__ = ["alertmanager"]


def there(url: str) -> list[dict[str, Any]]:
    """The silences that are in force there."""
    with urlopen(f"{url}/api/v2/silences", timeout=5) as response:
        return [one for one in json.load(response) if one["status"]["state"] == "active"]


def up(url: str) -> bool:
    try:
        return there(url) is not None
    except OSError:
        return False


async def silence(site: Site, key: str, **what: Any) -> dict[str, Any]:
    asked = {"service": "evenkeel", "minutes": 60, "reason": "load test"} | what
    return dict(answer(await site.fetch("/api/v1/silences", method="POST", key=key, data=asked))["silence"])


@needed
@pytest.mark.gen_test
async def test_a_silence_of_a_service_is_written_back_once_and_ends_there(
    web: Web, alertmanager: Callable[[Path], Alertmanager], database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "alertmanager.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    remote = alertmanager(tmp_path / "alertmanager.yml")
    site = await web(NOTIFY_ALLOW_PRIVATE="true")
    key, cookie, copies = (
        await site.key("act"),
        await sign_in(site),
        SilenceCopies(site.env, site.parts.db, site.parts.policies),
    )
    await until(lambda: up(remote.url), "Alertmanager")
    await press(site, f"{PAGE}/put", cookie, address=f"{remote.url}/".replace("//", "//mira:s3cret@"))
    assert "It answers" in said(await press(site, f"{PAGE}/test", cookie), site)
    assert "s3cret" not in (await look(site, PAGE, cookie)).body.decode()
    await silence(site, key, service="", objective="evenkeel-latency")
    made = await silence(site, key)
    await copies.run()
    found = there(remote.url)
    assert sorted(sorted((m["name"], m["value"]) for m in one["matchers"]) for one in found) == [
        [("job", ""), ("namespace", "evenkeel"), ("service", "")],
        [("job", "evenkeel"), ("service", "")],
        [("service", "evenkeel")],
    ]
    assert {(one["createdBy"], one["endsAt"][:19]) for one in found} == {("key:test", made["ends_at"][:19])}
    page = (await look(site, "/alerts", cookie)).body.decode()
    assert (page.count("there too"), page.count("here alone")) == (1, 1)

    with psycopg.connect(
        database_url
    ) as connection:  # nobody wrote down that it is there, or yesterday's database is back
        connection.execute("DELETE FROM silence_copies")
    await copies.run()
    assert len(there(remote.url)) == 3

    with psycopg.connect(database_url) as connection:  # a maintenance window is extended
        connection.execute("UPDATE silences SET ends_at = ends_at + interval '1 hour'")
    await copies.run()
    assert {one["endsAt"][11:13] for one in there(remote.url)} != {made["ends_at"][11:13]}
    assert len(there(remote.url)) == 3

    gone = Request(f"{remote.url}/api/v2/silence/{there(remote.url)[0]['id']}", method="DELETE")
    urlopen(gone, timeout=5).close()  # somebody has ended one there
    await site.fetch(f"/api/v1/silences/{made['id']}/end", method="POST", key=key)
    await copies.run()
    assert there(remote.url) == []
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT DISTINCT error, gone_at IS NULL FROM silence_copies").fetchall() == [
            ("", False)
        ]


@pytest.mark.gen_test
async def test_what_is_not_there_is_said_with_what_to_do(web: Web, database_url: str) -> None:
    site = await web(NOTIFY_ALLOW_PRIVATE="true")
    key, admin, cookie = await site.key("act"), await site.key("admin"), await sign_in(site)
    copies = SilenceCopies(site.env, site.parts.db, site.parts.policies)
    for wrong in ("ftp://x", "https://"):
        asked = await site.fetch("/api/v1/alertmanager", method="POST", key=admin, data={"address": wrong})
        assert answer(asked)["errors"][0]["field"] == "address"
    for address, told in (
        (f"http://127.0.0.1:{free_port()}", "is it up, and reached from here?"),
        (f"{site.url}/api/v1/nowhere", "HTTP 404 Not Found: give the address before /api/v2"),
    ):
        await site.fetch("/api/v1/alertmanager", method="POST", key=admin, data={"address": address})
        silenced = (await silence(site, key))["id"]
        await copies.run()
        async with site.parts.db.ask() as connection:
            faring = (await copy_store.faring(connection, [silenced]))[silenced]
        assert told in faring.error
    page = (await look(site, "/alerts", cookie)).body.decode()
    fewer = SimpleNamespace(budget_policy=SimpleNamespace(signals=SimpleNamespace(service_labels=("service",))))
    async with site.parts.db.act() as connection:
        await copy_store.try_now(connection)
    await SilenceCopies(site.env, site.parts.db, fewer).run()  # the policy has named more labels before
    assert "Not there" in page
    assert told in page
    assert (await site.fetch("/api/v1/alertmanager/remove", method="POST", key=admin)).code == 200
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT DISTINCT address FROM alertmanagers").fetchall() == [("",)]


@pytest.mark.gen_test
async def test_a_service_that_only_signals_know_is_silenced_where_they_are_from(web: Web, database_url: str) -> None:
    site = await web(NOTIFY_ALLOW_PRIVATE="true")
    key, admin = await site.key("act", "ingest"), await site.key("admin")
    asked = {"service": "stock", "minutes": 60, "reason": "new disk"}

    async def answered() -> tuple[int, str]:
        found = await site.fetch("/api/v1/silences", method="POST", key=key, data=asked)
        return found.code, found.body.decode()

    assert "no objective is of stock" in (await answered())[1]
    body = group(alert(service="stock"))
    await site.fetch("/api/v1/hooks/alertmanager", method="POST", key=key, data=body)
    assert "silences are written back nowhere" in (await answered())[1]
    address = f"http://127.0.0.1:{free_port()}"
    await site.fetch("/api/v1/alertmanager", method="POST", key=admin, data={"address": address})
    assert (await answered())[0] == 201
    async with site.parts.db.act() as connection:
        await copy_store.want(connection, 3)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM silence_copies").fetchall() == [(3,)]
