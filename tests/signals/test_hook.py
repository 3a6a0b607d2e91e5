"""The webhook of Alertmanager over HTTP: every recording, who may send, what is hostile, two at once."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from server.signals import handlers, store
from tests.signals.told import START, TRUTH, alert, group, recorded, standing
from tests.site import Site, answer
from tests.waiting import PATIENCE_S

Start = Callable[..., Any]
HOOK = "/api/v1/hooks/alertmanager"


async def told(site: Site, key: str, body: dict[str, Any], status: int = 200) -> Any:
    found = await site.fetch(HOOK, method="POST", key=key, data=body)
    assert found.code == status, found.body
    return answer(found)


async def signals(site: Site, key: str, **asked: str) -> list[dict[str, Any]]:
    query = "&".join(f"{name}={value}" for name, value in ({"limit": "500"} | asked).items())
    return list(answer(await site.fetch(f"/api/v1/signals?{query}", key=key))["signals"])


@pytest.mark.gen_test
async def test_every_recording_is_kept_as_it_was_true(web: Start) -> None:
    """Each by a key of its own, as each was another Alertmanager; every post twice at the same moment."""
    site = await web()
    reader = await site.key("read")
    names = [name for name in TRUTH if len(recorded(name)) > 1]
    for name in names:
        key = await site.key("ingest", name=name)
        for body in recorded(name):
            await asyncio.gather(told(site, key, body), told(site, key, body))
    found = await signals(site, reader)
    for name in names:
        mine = [one for one in found if one["sender"] == name]
        # All of them began in November 2026: heard of just now, they fire or have ended.
        assert standing((one["labels"], one["state"], one["starts_at"]) for one in mine) == TRUTH[name]
    ended = [one["state"] for one in await signals(site, reader, state="ended")]
    states = [state for name in names for _, state in TRUTH[name]]
    assert ended == ["ended"] * states.count("ended")
    metrics = (await site.fetch("/metrics", key=reader)).body.decode()
    assert f'evenkeel_signals_firing{{joined="false"}} {states.count("firing")}.0' in metrics


@pytest.mark.gen_test
async def test_who_may_send(web: Start) -> None:
    site = await web()
    ingest, read = await site.key("ingest"), await site.key("read")
    await told(site, read, group(), 403)
    for user in ("evenkeel", "", "a:b"):
        sent = {"Authorization": "Basic " + b64encode(f"{user}:{ingest}".encode()).decode()}
        status = 401 if ":" in user else 200
        assert (await site.fetch(HOOK, method="POST", data=group(alert()), headers=sent)).code == status, user
    for user in (ingest, f"{ingest}:", f"{ingest}:x"):
        sent = {"Authorization": "Basic " + b64encode(user.encode()).decode()}
        assert (await site.fetch(HOOK, method="POST", data=group(alert()), headers=sent)).code == 200
    for wrong in ("Basic", "Basic ?", "Basic " + b64encode(b"\xff:x").decode(), "Bearer x", "Digest x"):
        assert (await site.fetch(HOOK, method="POST", data=group(), headers={"Authorization": wrong})).code == 401
    elsewhere = {"Authorization": "Basic " + b64encode(f"u:{read}".encode()).decode()}
    assert (await site.fetch("/api/v1/signals", headers=elsewhere)).code == 401, "only where a sender needs it"
    bound = await site.key("ingest", name="bound", services=["payments"])
    assert await told(site, bound, group(alert(service="payments"), alert())) == {"signals": 1, "left_out": 1}


@pytest.mark.gen_test
async def test_a_bound_key_changes_no_signal_of_another_service_that_a_key_of_its_name_told(web: Start) -> None:
    site = await web()
    whole = await site.key("ingest", "read", name="prom")
    bound = await site.key("ingest", name="prom", services=["checkout"])
    payments = alert(service="payments") | {"fingerprint": "a"}
    await told(site, whole, group(payments, alert()))
    for claim, left_out in (
        ([alert()], 0),  # silent of a
        ([alert() | {"fingerprint": "a"}, alert()], 1),
        ([alert(end=START + 60) | {"fingerprint": "a"}], 1),
    ):
        assert (await told(site, bound, group(*claim)))["left_out"] == left_out
        (other,) = [one for one in await signals(site, whole) if one["fingerprint"] == "a"]
        assert (other["service"], other["state"]) == ("payments", "firing"), claim


@pytest.mark.gen_test
async def test_what_is_well_formed_is_kept_whatever_stands_in_it(web: Start) -> None:
    site = await web()
    key = await site.key("ingest", "read")
    strange = alert("a\0b\u202e", service="x" * 5000, severity="\n") | {
        "generatorURL": "javascript:alert(1)",
        "new": {},
    }
    strange |= {"startsAt": "9999-12-31T23:59:59Z", "annotations": None}
    assert await told(site, key, group(strange) | {"future": [1]}) == {"signals": 1, "left_out": 0}
    (one,) = await signals(site, key)
    assert (one["name"], one["link"]) == ("a b", "javascript:alert(1)")
    refused = await told(site, key, {"text": "HighErr fires"}, 422)
    assert "without a template" in refused["detail"]
    large = await site.fetch(HOOK, method="POST", key=key, body=b" " * (16 * 2**20 + 1))
    assert large.code == 413
    assert (await site.fetch(f"{HOOK}/", method="POST", key=key, data=group())).code == 404, "never a redirect"


@pytest.mark.gen_test
async def test_ten_thousand_in_one_payload_are_kept_and_end(web: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "STORE_S", PATIENCE_S)  # how fast it is, is no question of a test
    site = await web()
    key = await site.key("ingest", "read")
    many = [alert(i=str(number), service=f"s{number % 40}") for number in range(10_000)]
    for _ in range(2):
        assert await told(site, key, group(*many)) == {"signals": 10_000, "left_out": 0}
    await told(site, key, group(alert(i="0", end=START + 60)))
    async with site.parts.db.ask() as connection:
        assert await store.firing_now(connection) == {}
    page = await signals(site, key, state="absent", service="s1", limit="250")
    assert len(page) == 250
    assert (await site.fetch("/api/v1/signals?state=over", key=key)).code == 422


@pytest.mark.gen_test
async def test_where_it_cannot_be_kept_it_is_to_be_sent_again(
    web: Start, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert handlers.STORE_S < 10, "longer than that Alertmanager does not wait"
    site = await web()
    key = await site.key("ingest")
    with psycopg.connect(database_url) as holding, monkeypatch.context() as patch:
        patch.setattr(handlers, "STORE_S", 0.2)
        holding.execute("LOCK TABLE signals IN ACCESS EXCLUSIVE MODE")
        again = await site.fetch(HOOK, method="POST", key=key, data=group(alert()))
    assert (again.code, again.headers["Retry-After"]) == (503, "2")
    await told(site, key, group(alert()))


@pytest.mark.gen_test
async def test_what_is_old_is_forgotten(web: Start, database_url: str) -> None:
    site = await web()
    key = await site.key("ingest", "read")
    await told(site, key, group(alert(i="1"), alert(i="2")))
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE signals SET heard_at = now() - interval '31 days' WHERE labels ->> 'i' = '1'")
    await store.forget_old(site.parts.db)
    assert [one["labels"]["i"] for one in await signals(site, key)] == ["2"]
