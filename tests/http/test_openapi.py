"""The OpenAPI document is complete and true, and /api/docs has an anchor for everything that links there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from tornado.web import RequestHandler

from server import __version__
from server.http.api_docs import page
from server.http.openapi import METHODS, document, operations
from server.kernel.errors import CODES
from server.routes import API
from tests.site import answer

DOCUMENT = document(API)


def walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from walk(one)
    elif isinstance(value, list):
        for one in value:
            yield from walk(one)


def test_it_is_json_and_names_the_version() -> None:
    assert msgspec.json.decode(msgspec.json.encode(DOCUMENT)) == DOCUMENT
    assert DOCUMENT["openapi"].startswith("3.1")
    assert DOCUMENT["info"]["version"] == __version__


def test_every_method_of_every_address_is_an_operation() -> None:
    """A handler that defines a method without `@operation` would be neither guarded nor documented."""
    for route in API:
        for method in METHODS:
            function = getattr(route.handler, method)
            if function is not getattr(RequestHandler, method):
                assert getattr(function, "operation", None), f"{method} {route.path} has no @operation"


def test_every_operation_is_in_the_document() -> None:
    found = {(path, method) for path, item in DOCUMENT["paths"].items() for method in item}
    assert found == {(route.path, method) for route, method, _ in operations(API)}
    assert ("/api/v1/outcomes", "post") in found


def test_references_resolve_and_every_type_is_used() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    named = {found["$ref"].rsplit("/", 1)[-1] for found in walk(DOCUMENT) if isinstance(found.get("$ref"), str)}
    assert named == set(schemas)
    assert all(re.fullmatch(r"[A-Za-z]+", name) for name in schemas), "no module paths in names"


def test_ids_are_unique_and_path_parameters_are_declared() -> None:
    ids = []
    for path, item in DOCUMENT["paths"].items():
        for one in item.values():
            ids.append(one["operationId"])
            declared = [p["name"] for p in one["parameters"] if p["in"] == "path"]
            assert declared == re.findall(r"{(\w+)}", path)
            assert one["summary"]
    assert len(ids) == len(set(ids))


def test_every_parameter_and_field_has_a_type() -> None:
    for item in DOCUMENT["paths"].values():
        for one in item.values():
            for parameter in one["parameters"]:
                assert {"type", "enum", "anyOf"} & set(parameter["schema"]), (one["operationId"], parameter)
                assert "null" not in str(parameter["schema"])


TIME = re.compile(r"(?:.+_)?(?:at|until|since|time|timestamp)", re.ASCII)


# Epoch milliseconds are taken too; and OpenSLO's own form, of a clock in a zone.
NO_INSTANTS = {("Outcome", "timestamp"), ("CalendarAnswer", "start_time")}
# What platforms send, in whatever form each writes a time.
NO_INSTANTS |= {("DeploymentStatus", "created_at"), ("GitlabDeployment", "status_changed_at")}
NO_INSTANTS |= {("EventContext", "timestamp"), ("ChangePayload", "timestamp")}


def test_every_time_is_rfc_3339() -> None:
    """Of answers by the names that times have, and the two ends of ranges; numbers are revisions and lengths."""
    schemas = DOCUMENT["components"]["schemas"]
    times = [
        (kind, name, one)
        for kind, schema in schemas.items()
        for name, one in schema.get("properties", {}).items()
        if TIME.fullmatch(name)
        or (kind in ("BudgetAnswer", "SeriesAnswer", "TrafficSummary") and name in ("from", "to"))
    ]
    assert {kind for kind, _, _ in times} >= {"Change", "BudgetAnswer", "StatusAnswer", "ScopeValue", "OutcomeAnswer"}
    for kind, name, one in times:
        options = [option for option in one.get("anyOf", [one]) if option != {"type": "null"}]
        formats = {option.get("format") for option in options}
        assert formats == {"date-time"} or (kind, name) in NO_INSTANTS, (kind, name, one)
    for item in DOCUMENT["paths"].values():
        for parameter in item.get("get", {}).get("parameters", []):
            if parameter["name"] in ("from", "to", "since"):
                assert parameter["schema"]["format"] == "date-time"


def test_security_is_the_operations_own() -> None:
    for route, method, one in operations(API):
        said = DOCUMENT["paths"][route.path][method]["security"]
        if one.scope is None:
            assert said == []
        else:
            assert said[0] == {"key": [one.scope]}
            assert ({"session": []} in said) is (method == "get")
    assert set(DOCUMENT["components"]["securitySchemes"]) == {"key", "password", "session"}


def test_every_code_is_described_under_its_status() -> None:
    problem = DOCUMENT["components"]["schemas"]["Problem"]
    assert problem["properties"]["code"]["enum"] == sorted(CODES)
    for item in DOCUMENT["paths"].values():
        for one in item.values():
            for status, response in one["responses"].items():
                content = response.get("content", {}).get("application/problem+json")
                for code in content["schema"]["allOf"][1]["properties"]["code"]["enum"] if content else ():
                    assert CODES[code][0] == int(status)


def test_ingest_names_what_it_refuses() -> None:
    post = DOCUMENT["paths"]["/api/v1/outcomes"]["post"]
    assert set(post["responses"]) >= {"201", "400", "401", "403", "409", "413", "415", "422", "503"}
    assert {"application/json", "application/x-ndjson"} <= set(post["requestBody"]["content"])


class Anchors(HTMLParser):
    """Ids and links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name == "href" and (value or "").startswith("#"):
                self.links.append((value or "")[1:])
            if name == "style" or name.startswith("on") or tag == "script":
                self.inline.append(f"{tag} {name}")


def test_the_page_has_every_anchor() -> None:
    seen = Anchors()
    seen.feed(page(API))
    assert len(seen.ids) == len(set(seen.ids))
    assert set(seen.links) <= set(seen.ids)
    assert set(CODES) <= set(seen.ids), "problem documents link to #CODE"
    assert {one["operationId"] for item in DOCUMENT["paths"].values() for one in item.values()} <= set(seen.ids)
    assert seen.inline == [], "the Content-Security-Policy forbids it"


@pytest.mark.gen_test
async def test_both_are_served_to_readers_only(web: Callable[..., Any]) -> None:
    site = await web()
    key = await site.key("read")
    assert (await site.fetch("/api/openapi.json")).code == 401
    assert answer(await site.fetch("/api/openapi.json", key=key)) == DOCUMENT
    shown = await site.fetch("/api/docs", key=key)
    assert (shown.code, shown.body.decode()) == (200, page(API))
    assert "default-src 'self'" in shown.headers["Content-Security-Policy"]
    lost = await site.fetch("/api/docs", headers={"Accept": "text/html,*/*"})
    assert (lost.code, lost.headers["Location"]) == (302, "/sign-in?next=%2Fapi%2Fdocs")


NEEDED = {"/api/v1/gate": "?service=evenkeel&kind=deploy"}  # parameters that cannot be left out


@pytest.mark.gen_test
async def test_what_is_answered_is_what_was_promised(web: Callable[..., Any]) -> None:
    """Every GET without parameters in its path, decoded as its declared type."""
    site = await web()
    key = await site.key("read", "admin")
    tried = 0
    for route, method, one in operations(API):
        if method != "get" or "{" in route.path:
            continue
        found = await site.fetch(route.path + NEEDED.get(route.path, ""), key=key)
        assert found.code in (one.status, *one.also), (route.path, found.body)
        assert found.headers["Content-Type"].partition(";")[0] == one.media
        if "json" in one.media:
            msgspec.json.decode(found.body, type=one.returns)
        tried += 1
    assert tried >= 10
