"""What a caller is told of a value that does not fit: the field's name, what may stand there, what was kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from server.kernel.field_fault import field_and_reason
from server.kernel.times import Instant
from tests.site import Site, answer


class Part(Struct, forbid_unknown_fields=True):
    """Within another, and within itself."""

    kind: Literal["slack", "webhook"]
    part: Part | None = None


class Whole(Struct, forbid_unknown_fields=True):
    """One field of each sort that the API takes."""

    status: Annotated[int, Meta(ge=100, le=599)] = 200
    before: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None
    share: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    at: Instant | int | None = None
    name: Annotated[str, Meta(min_length=1, max_length=3)] = "a"
    note: Annotated[str, Meta(max_length=5)] = ""
    names: list[Literal["read", "act"]] = []
    values: dict[str, int | bool] = {}
    parts: list[Part] = []


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ('{"status":600}', "status", "give a whole number from 100 to 599"),
        ('{"status":null}', "status", "give a whole number from 100 to 599"),
        ('{"before":0}', "before", "give a whole number of at least 1"),
        ('{"share":1}', "share", "give a number above 0 and below 1"),
        ('{"at":"x"}', "at", "give RFC 3339 with its zone, as 2026-03-01T03:08:12Z or a whole number"),
        ('{"name":""}', "name", "give 1 to 3 characters of text"),
        ('{"note":"aaaaaa"}', "note", "give at most 5 characters of text"),
        ('{"names":["fax"]}', "names[0]", "is 'fax'; give one of act, read"),
        ('{"names":4}', "names", "give a list, of each: one of act, read"),
        ('{"values":{"a":"b"}}', "values[...]", "give a whole number or true or false"),
        ('{"values":[]}', "values", "give an object"),
        ('{"parts":[{"kind":"slack","part":{}}]}', "parts[0].part.kind", "is missing"),
        ('{"parts":[{"kind":"slack","sort":1}]}', "parts[0].sort", "is an unknown field; known are kind, part"),
        ('{"parts":[{"kind":"' + "x" * 999 + '"}]}', "parts[0].kind", f"is '{'x' * 59}; give one of slack, webhook"),
    ],
)
def test_the_field_and_what_may_stand_there(body: str, field: str, reason: str) -> None:
    with pytest.raises(msgspec.ValidationError) as found:
        msgspec.json.decode(body, type=Whole)
    assert field_and_reason(str(found.value), Whole) == (field, reason)


class Take(Struct, tag_field="act", tag="take", forbid_unknown_fields=True):
    """One of several acts."""

    minutes: Annotated[int, Meta(ge=1)] = 1
    owner: Annotated[str, Meta(max_length=5)] = ""


class Give(Struct, tag_field="act", tag="give", forbid_unknown_fields=True):
    """Another."""

    owner: str = ""
    to: bool | str = ""


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ('{"act":"x"}', "act", "is 'x'; give one of take, give"),
        ('{"act":"take","minutes":0}', "minutes", "give a whole number of at least 1"),
        ('{"act":"take","owner":4}', "owner", "give text"),
        ('{"act":"give","to":4}', "to", "give true or false or text"),
        ('{"act":"give","from":4}', "from", "is an unknown field"),
        ("{}", "act", "is missing"),
    ],
)
def test_of_several_acts_what_may_stand_there(body: str, field: str, reason: str) -> None:
    with pytest.raises(msgspec.ValidationError) as found:
        msgspec.json.decode(body, type=Take | Give)
    assert field_and_reason(str(found.value), Take | Give) == (field, reason)


@pytest.mark.gen_test
async def test_over_http_it_also_says_what_was_kept(web: Callable[..., Awaitable[Site]]) -> None:
    site = await web()
    key = await site.key("read", "act", "admin")
    given: dict[str, Any]
    for method, path, given, field, detail in (
        (
            "POST",
            "/api/v1/targets",
            {"kind": "fax", "name": "a"},
            "kind",
            "kind: is 'fax'; give one of cdevents, email, pagerduty",
        ),
        ("POST", "/api/v1/targets", {"kind": "slack"}, "name", "name: is missing. Nothing was done."),
        ("POST", "/api/v1/targets", {"kind": "slack", "name": "a", "address": "x"}, "address", "https://. Nothing was"),
        ("POST", "/api/v1/gate/overrides", {"service": "a", "kind": "deploy"}, "reason", "reason: is missing. Nothing"),
        ("GET", "/api/v1/gate?service=a&kind=fax", {}, "kind", "kind: is 'fax'; give one of deploy, "),
        ("GET", "/api/v1/gate?service=a", {}, "kind", "kind: is missing. Nothing was done."),
        ("GET", "/api/v1/reports/a/2026-11?format=pdf", {}, "format", "one of csv, json, markdown. Nothing was done."),
    ):
        found = await site.fetch(path, method=method, key=key, **({"data": given} if given else {}))
        assert found.code == 422, (path, found.body)
        assert answer(found)["errors"][0]["field"] == field
        assert detail in answer(found)["detail"]
