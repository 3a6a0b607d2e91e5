"""The settings over HTTP, as a caller meets them."""

from datetime import datetime
from typing import Any

import pytest

from tests.site import Site, answer

BATCH = "INGEST_MAX_BATCH_ITEMS"


async def patch(site: Site, key: str, etag: str | None, **data: Any) -> Any:
    headers = {} if etag is None else {"If-Match": etag}
    return await site.fetch(
        "/api/v1/config", method="PATCH", key=key, data={"reason": "a test"} | data, headers=headers
    )


async def rollback(site: Site, key: str, data: Any = None) -> Any:
    if data is None:
        return await site.fetch("/api/v1/config/rollback", method="POST", key=key, body="")
    return await site.fetch("/api/v1/config/rollback", method="POST", key=key, data=data)


@pytest.mark.gen_test
async def test_a_change_and_its_rollback_from_start_to_end(web: Any) -> None:
    site = await web()
    key = await site.key("read", "act", name="mira")
    first = await site.fetch("/api/v1/config", key=key)
    assert (first.code, first.headers["Etag"]) == (200, '"1"')
    batch = next(s for s in answer(first)["settings"] if s["name"] == BATCH)
    assert (batch["in_force"]["value"], batch["in_force"]["source"], batch["maximum"]) == (1000, "default", 20_000)
    changed = await patch(site, key, '"1"', values={BATCH: 100}, minutes=30)
    assert (changed.code, changed.headers["Etag"]) == (200, '"2"')
    body = answer(changed)
    assert body["author"] == "key:mira"
    assert body["undo"]["label"] == "Roll back to 1: batch items 100 -> 1000"
    lasts = datetime.fromisoformat(body["differences"][0]["after_until"]) - datetime.fromisoformat(body["at"])
    assert 1790 < lasts.total_seconds() <= 1800
    repeated = await patch(site, key, '"1"', values={BATCH: 100})
    assert (repeated.code, answer(repeated)["code"]) == (412, "REVISION_CHANGED")
    (theirs,) = answer(repeated)["saved"]
    assert (theirs["author"], theirs["at"]) == ("key:mira", body["at"])
    again = await site.fetch("/api/v1/config", key=key, headers={"If-None-Match": '"2"'})
    assert again.code == 200
    assert answer(again)["rollback"]["to"] == 1
    back = await rollback(site, key, {"from": 2, "to": 1, "reason": "enough"})
    assert (back.code, answer(back)["revision"], answer(back)["restores"]) == (200, 3, 1)
    repeat = await rollback(site, key, {"from": 2, "to": 1})
    assert repeat.code == 200
    assert answer(repeat)["already"]
    assert answer(repeat)["message"].startswith("Already rolled back to 1 by key:mira, ")
    ambiguous = await rollback(site, key)
    assert (ambiguous.code, answer(ambiguous)["code"], answer(ambiguous)["undo"]) == (409, "ROLLBACK_AMBIGUOUS", 2)
    revisions = answer(await site.fetch("/api/v1/config/revisions?limit=2", key=key))
    assert [r["revision"] for r in revisions["revisions"]] == [3, 2]
    assert revisions["next"] == 2
    last = answer(await site.fetch("/api/v1/config/revisions?before=2", key=key))
    assert ([r["revision"] for r in last["revisions"]], last["next"]) == ([1], None)
    changes = answer(await site.fetch("/api/v1/changes?service=checkout", key=key))["changes"]
    assert [c["summary"] for c in changes] == [
        "revision 3: batch items 100 -> 1000",
        changes[1]["summary"],
    ]
    assert changes[1]["summary"].startswith("revision 2: batch items 1000 -> 100, until 20")
    assert changes[1]["detail"]["differences"] == body["differences"], "its times too"
    since = answer(await site.fetch(f"/api/v1/changes?since={changes[0]['at']}", key=key))["changes"]
    assert [c["id"] for c in since] == [changes[0]["id"]], "an answered time can be asked with"


@pytest.mark.gen_test
async def test_a_change_must_say_which_revision_it_is_of(web: Any) -> None:
    site = await web()
    key = await site.key("act")
    for etag in (None, "", "*", '"x"', '"1", "2"', '"99999999999999"', "１"):
        refused = await patch(site, key, etag.encode().decode("latin-1") if etag else etag, values={BATCH: 100})
        assert (refused.code, answer(refused)["code"]) == (428, "PRECONDITION_REQUIRED"), etag


@pytest.mark.gen_test
async def test_who_may_not_act_changes_nothing(web: Any) -> None:
    site = await web()
    reader = await site.key("read", "ingest", name="reader")
    assert (await patch(site, reader, '"1"', values={BATCH: 100})).code == 403
    assert (await rollback(site, reader, {})).code == 403
    assert (await site.fetch("/api/v1/config")).code == 401
    assert (await patch(site, "nonsense", '"1"', values={BATCH: 100})).code == 401
    assert answer(await site.fetch("/api/v1/config", key=reader))["revision"]["revision"] == 1


WRONG_BODIES = [
    ('{"values": {"INGEST_MAX_BATCH_ITEMS": 1e999}, "reason": "x"}', None),
    ('{"values": {"INGEST_MAX_BATCH_ITEMS": "100"}, "reason": "x"}', "values[...]"),
    ('{"values": {"INGEST_MAX_BATCH_ITEMS": 99999}, "reason": "x"}', "values.INGEST_MAX_BATCH_ITEMS"),
    ('{"values": {"INGEST_MAX_BATCH_ITEMS": 5.5}, "reason": "x"}', "values[...]"),
    ('{"values": {"X\\u0000": 5}, "reason": "x"}', "values.X\x00"),
    ('{"values": {"INGEST_MAX_BATCH_ITEMS": 5}}', "reason"),
    ('{"values": {"INGEST_MAX_BATCH_ITEMS": 5}, "reason": "x", "scop": "all"}', "scop"),
    ('{"values": [], "reason": "x"}', "values"),
    ("[]", "body"),
    ("nonsense", None),
]


@pytest.mark.gen_test
async def test_a_body_that_is_wrong_is_answered_with_the_field(web: Any) -> None:
    site = await web()
    key = await site.key("act")
    headers = {"If-Match": '"1"', "Content-Type": "application/json"}
    for body, field in WRONG_BODIES:
        refused = await site.fetch("/api/v1/config", method="PATCH", key=key, body=body, headers=headers)
        problem = answer(refused)
        if field is None:
            assert refused.code in (400, 422), body
        else:
            assert (refused.code, problem["errors"][0]["field"]) == (422, field), body
        if field == "values.INGEST_MAX_BATCH_ITEMS":
            assert problem["errors"][0]["maximum"] == 20_000


@pytest.mark.gen_test
async def test_a_rollback_to_nowhere_is_refused(web: Any) -> None:
    site = await web()
    key = await site.key("act")
    for data in ({"from": 0}, {"to": 2**31}, {"to": 10**30}, {"from": -1}, {"to": 5}, {"from": 7}):
        refused = await rollback(site, key, data)
        assert (refused.code, answer(refused)["code"]) in [(422, "INVALID"), (400, "BAD_REQUEST")], data
