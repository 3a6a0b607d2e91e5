"""Pictures of another version, as during a deploy: what can be read is shown, and what cannot stops nothing."""

from __future__ import annotations

import logging
import time
from typing import Any

import msgspec
import pytest

from server.picture.picture import Picture, read_picture
from server.picture.relay import Relay
from server.picture.tick import Tick
from server.process.degraded import unwatched
from server.slo.model.status import Status
from tests.config.machine import objective
from tests.gate.making import alert
from tests.live.rollups import lead
from tests.live.writing import Sample, Writer, unheard
from tests.picture.ticking import no_alerts, objectives, service, store, stored, stored_bytes, ticking

Body = dict[str, Any]


def picture(at: float = 1000.0, **given: Any) -> Body:
    """As its JSON is, with one objective that burns and its alert."""
    status = Status(1, at, [objective("shop-works", "burning")], {"shop": "burning"})
    made = Picture(1, at, 1, "w", [], [], 1, None, status, [alert()], evaluated_at=at, alerted_at=at)
    return msgspec.to_builtins(made) | given


def read(body: Body, last: Picture | None = None) -> tuple[Picture, str]:
    return read_picture(msgspec.json.encode(body), last)


def test_fields_that_are_not_known_are_left_out() -> None:
    body = picture(weather="fair")
    body["slo"]["objectives"][0]["mood"] = "good"
    body["alerts"][0]["evidence"]["colour"] = {"red": 1}
    assert read(body) == (read(picture())[0], "")


def test_fields_that_an_older_watch_does_not_write_have_their_defaults() -> None:
    body = picture()
    for name in ("slo", "alerts", "restarts", "gap", "other_series", "targets", "evaluated_at", "alerted_at"):
        del body[name]
    found, unread = read(body)
    assert (found.slo, found.alerts, found.behind_s, unread) == (None, [], 0.0, "")
    del (body := picture())["slo"]["objectives"][0]["recounting"]
    assert read(body) == (read(picture())[0], "")


def test_objectives_that_cannot_be_read_stand_as_they_did_and_grow_old() -> None:
    last, _ = read(picture(1000.0))
    body = picture(1004.0)
    body["slo"]["objectives"][0]["state"] = "recovering"
    found, unread = read(body, last)
    assert (found.slo, found.evaluated_at, found.alerted_at) == (last.slo, 1000.0, 1004.0)
    assert found.alerts == [alert()]
    assert "recovering" in unread
    assert next(unwatched(found, 0.1, follows=False)).says == "Alerts have not been evaluated for 4 s"
    again, _ = read(body | {"at": 1009.0}, found)
    assert (again.slo, again.behind_s) == (last.slo, 9.0)


def test_a_process_that_has_just_started_knows_nothing_of_them_and_says_so_soon() -> None:
    body = picture(1000.0)
    body["slo"] = "in another shape"
    first, _ = read(body)
    assert (first.slo, first.behind_s) == (None, 0.0)
    second, _ = read(body | {"at": 1005.0, "evaluated_at": 1005.0, "alerted_at": 1005.0}, first)
    assert (second.slo, second.behind_s) == (None, 5.0)


def test_an_alert_that_cannot_be_read_hides_no_other() -> None:
    last, _ = read(picture(1000.0))
    body = picture(1002.0)
    body["alerts"].insert(0, body["alerts"][0] | {"id": 13, "state": "recovering"})
    found, unread = read(body, last)
    assert [one.id for one in found.alerts] == [12]
    assert (found.evaluated_at, found.alerted_at) == (1002.0, 1000.0)
    assert unread.startswith("alert: ")


def test_windows_that_cannot_be_read_are_no_picture() -> None:
    with pytest.raises(msgspec.ValidationError):
        read(picture(services=[{"name": "shop"}]))
    with pytest.raises(msgspec.MsgspecError):
        read_picture(b"not JSON")


@pytest.mark.gen_test
async def test_the_relay_goes_on_with_what_it_can_read(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    Writer(database_url).flush([Sample(int(time.time()))] * 5)
    async with ticking(database_url) as (db, bus, tick):
        relay = Relay(db, bus)
        assert (relay.status, relay.alerts) == (None, [])
        await tick.run(1)
        await relay.refresh()
        assert relay.status == stored(database_url).slo
        body = msgspec.json.decode(stored_bytes(database_url))
        body["services"][0]["n"], body["slo"]["services"]["shop"] = 7, "recovering"
        with caplog.at_level(logging.WARNING, "evenkeel.relay"):
            for _ in range(3):
                store(database_url, body)
                await relay.refresh()
        assert relay.picture is not None
        assert service(relay.picture).n == 7
        assert relay.status is not None
        assert relay.status.services == {"shop": "no_objective"}
        assert len(caplog.records) == 1, "told once, not each second"


@pytest.mark.gen_test
@pytest.mark.parametrize("spoilt", ["objectives", "everything"])
async def test_a_watch_that_takes_over_needs_nothing_of_the_last_picture(database_url: str, spoilt: str) -> None:
    Writer(database_url).flush([Sample(int(time.time()))] * 5)
    async with ticking(database_url) as (db, bus, tick):
        await tick.run(1)
        body = msgspec.json.decode(stored_bytes(database_url))
        body["slo"] = 7
        store(database_url, body if spoilt == "objectives" else {"seq": "in another shape"})
        lead(database_url, 2)
        again = Tick(db, bus, tick.process, unheard, objectives, no_alerts)
        await again.run(2)
        found = stored(database_url)
        assert (found.term, service(found).n, found.behind_s) == (2, 5, 0.0)
        assert found.slo is not None
        assert found.seq > body["seq"]
