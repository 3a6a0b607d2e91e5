"""Cursors that somebody wrote by hand: refused by name, and never what decides how much is read."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from server.kernel.errors import ApiError
from server.live.outcomes import read_cursor, write_cursor
from tests.site import answer

AT = "2026-11-23T12:00:00Z"
PLACE = [AT, 7, "r-1", 3]
FORGED: list[list[Any]] = [
    [AT, 7, "r-1", 10**12],
    [AT, 7, "r-1", 10_001],
    [AT, 7, "r-1", -1],
    [AT, 7, "r-1\0", 3],
    [AT, 7, "\0\n", 3],
    [AT, 7, "r" * 1001, 3],
    [AT, -1, "r-1", 3],
    [AT, 10**12, "r-1", 3],
    ["2026-11-23T12:00:00", 7, "r-1", 3],
    ["never", 7, "r-1", 3],
    [AT, 7, "r-1"],
]


def forged(place: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def test_one_of_ours_is_read_as_written() -> None:
    place = read_cursor(forged(PLACE))
    assert list(place)[1:] == PLACE[1:]
    assert read_cursor(write_cursor(place)) == place


@pytest.mark.parametrize("place", FORGED, ids=lambda place: json.dumps(place)[:50])
def test_one_of_somebody_else_is_refused(place: list[Any]) -> None:
    with pytest.raises(ApiError) as refused:
        read_cursor(forged(place))
    assert refused.value.code == "INVALID"
    assert [each["field"] for each in refused.value.extra["errors"]] == ["cursor"]


@pytest.mark.gen_test
async def test_the_api_names_the_cursor(web: Callable[..., Any]) -> None:
    site = await web()
    key = await site.key("read")
    for place in ([AT, 7, "r", 10**12], [AT, 7, "r", -3], [AT, 7, "\0", 0]):
        response = await site.fetch(f"/api/v1/outcomes?cursor={forged(place)}", key=key)
        assert response.code == 422, (place, response.body)
        assert answer(response)["errors"][0]["field"] == "cursor"
    far = forged(["9999-12-31T23:59:59.999999Z", 2**31 - 1, "", 10_000])
    assert answer(await site.fetch(f"/api/v1/outcomes?cursor={far}", key=key)) == {"outcomes": [], "next": None}
    for name in ("service", "route", "request_id"):
        response = await site.fetch(f"/api/v1/outcomes?{name}=%00", key=key)
        assert response.code in (200, 422), (name, response.body)
