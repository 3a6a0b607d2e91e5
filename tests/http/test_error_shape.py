"""Every operation of the API answers every failure with a problem document (RFC 9457)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from tornado.httpclient import HTTPResponse

from server.http.failures import as_api_error
from server.http.openapi import operations, query_fields
from server.http.operation import Operation
from server.http.route import AnywhereRoute, Route
from server.kernel.errors import CODES
from server.routes import API
from tests.site import Site, answer

Web = Callable[..., Any]
# OTLP is answered as its senders bear it (tests/ingest/test_otlp.py), JSON-RPC in a shape of its own (tests/mcp).
OPERATIONS = [found for found in operations(API) if not isinstance(found[0], AnywhereRoute) and found[2].rpc is None]
GUARDED = [(route, method, one) for route, method, one in OPERATIONS if one.scope is not None]


# What an address asks for before it looks.
NEEDED = {"/api/v1/services/{service}/series": "?metric=volume", "/api/v1/gate": "?service=no-such&kind=deploy"}
BODIES = {
    "/api/v1/incidents/{incident_id}/acts": b'{"act": "accept"}',
    "/api/v1/incidents/{incident_id}/merge": b'{"into": 1}',
    "/api/v1/incidents/{incident_id}/split": b'{"alerts": [1]}',
    "/api/v1/maintenance-windows/{window_id}/extend": b'{"stop": "2026-12-24T03:00:00Z"}',
}
NOWHERE = {"month": "2026-10"}


def address(route: Route) -> str:
    """The path with something in its parameters that does not exist."""

    def nowhere(match: re.Match[str]) -> str:
        return NOWHERE.get(match[1], "999999" if match[1].endswith("_id") else "no-such")

    return re.sub(r"{(\w+)}", nowhere, route.path)


async def ask(site: Site, route: Route, method: str, key: str | None, **more: Any) -> HTTPResponse:
    path = address(route) + more.pop("query", "")
    if method not in ("get", "delete"):
        more.setdefault("body", BODIES.get(route.path, b"{}"))
        more.setdefault("headers", {"Content-Type": "application/json"})
    return await site.fetch(path, method=method.upper(), key=key, **more)


def is_problem(response: HTTPResponse, code: str, path: str) -> None:
    """The whole shape, and that it is about this request."""
    status, title = CODES[code]
    where = f"{response.request.method} {path} answered {response.code} {response.body[:200]!r}"
    assert response.code == status, where
    assert response.headers["Content-Type"] == "application/problem+json", where
    found = answer(response)
    assert found["code"] == code, where
    assert (found["status"], found["title"], found["type"]) == (status, title, f"/api/docs#{code}")
    assert found["instance"] == path
    assert found["request_id"] == response.headers["X-Request-Id"]
    assert len(found["detail"]) > 10, where
    assert "Traceback" not in response.body.decode()


@pytest.mark.gen_test
async def test_without_a_key_and_with_a_wrong_one(web: Web) -> None:
    site = await web()
    for route, method, _ in GUARDED:
        for key in (None, "ek_" + "x" * 43, "ä", ""):
            found = await ask(site, route, method, key)
            is_problem(found, "UNAUTHENTICATED", address(route))
            assert found.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.gen_test
async def test_with_a_key_that_may_not(web: Web) -> None:
    site = await web()
    weak = {"ingest": await site.key("read"), "other": await site.key("ingest")}
    for route, method, one in GUARDED:
        key = weak["ingest"] if one.scope == "ingest" else weak["other"]
        is_problem(await ask(site, route, method, key), "FORBIDDEN", address(route))


@pytest.mark.gen_test
async def test_a_method_that_an_address_does_not_take(web: Web) -> None:
    site = await web()
    key = await site.key("ingest", "read", "act", "admin")
    taken: dict[str, set[str]] = {}
    for route, method, _ in OPERATIONS:
        taken.setdefault(route.path, set()).add(method)
    for route in (one for one in API if one.path in taken):
        for method in {"get", "post", "put", "patch", "delete"} - taken[route.path]:
            is_problem(await ask(site, route, method, key), "METHOD_NOT_ALLOWED", address(route))


@pytest.mark.parametrize("path", ["/api/", "/api/v1/nothing", "/api/v2/outcomes", "/api/v1/checks/a/b"])
@pytest.mark.gen_test
async def test_an_address_that_is_none(web: Web, path: str) -> None:
    site = await web()
    for method in ("GET", "POST"):
        found = await site.fetch(path, method=method, body=b"{}" if method == "POST" else None)
        is_problem(found, "NOT_FOUND", path)


AHEAD = {"/api/v1/services/{service}/route-patterns"}  # may be set before the service sends anything


@pytest.mark.gen_test
async def test_what_is_sent_to_no_address_is_not_led_to_the_sign_in(web: Web) -> None:
    site = await web()
    for path in ("/v2/enqueue", "/nowhere"):
        found = await site.fetch(path, method="POST", data={})
        assert found.code in (403, 404), "a 303 is taken for delivered"


@pytest.mark.gen_test
async def test_something_that_does_not_exist(web: Web) -> None:
    site = await web()
    key = await site.key("read", "act", "admin")
    tried = [(r, m) for r, m, one in OPERATIONS if "{" in r.path and one.scope != "ingest" and r.path not in AHEAD]
    assert tried
    for route, method in tried:
        is_problem(await ask(site, route, method, key, query=NEEDED.get(route.path, "")), "NOT_FOUND", address(route))


@pytest.mark.gen_test
async def test_a_parameter_that_is_unknown(web: Web) -> None:
    site = await web()
    key = await site.key("ingest", "read", "act", "admin")
    for route, method, one in OPERATIONS:
        if one.query is not None:
            body = {"body": b"[]"} if method == "post" else {}
            found = await ask(site, route, method, key, query="?no_such=1", **body)
            if "{" in route.path and found.code == 404:
                continue  # what does not exist is said first
            is_problem(found, "INVALID", address(route))
            assert answer(found)["errors"][0]["field"] == "no_such"


def texts(one: Operation) -> list[str]:
    """The query parameters that take any text."""
    fields = query_fields(one.query) if one.query else []
    return [name for name, schema, _ in fields if schema.get("type") == "string" and "format" not in schema]


@pytest.mark.gen_test
async def test_a_nul_in_any_parameter_is_the_callers_fault(web: Web) -> None:
    """PostgreSQL's text cannot hold it; that is neither an outage nor a failure of ours."""
    site = await web()
    key = await site.key("ingest", "read", "act", "admin")
    asked = 0
    for route, method, one in OPERATIONS:
        needed = NEEDED.get(route.path, "?")
        paths = [re.sub(r"{\w+}", "a%00b", route.path) + needed] if "{" in route.path else []
        paths += [f"{address(route)}{needed}&{name}=a%00b" for name in texts(one)]
        for path in paths:
            given: dict[str, Any] = {"data": {}} if method in ("post", "patch", "put") else {}
            found = await site.fetch(path, method=method.upper(), key=key, **given)
            unsigned = (403,) if one.scope is None else ()
            assert found.code in (200, 404, 422, *unsigned), (method, path, found.code, found.body)
            if found.code != 200:  # nothing carries such an id, say
                is_problem(found, answer(found)["code"], path.partition("?")[0])
            asked += 1
    assert asked >= 8


WRONG: tuple[tuple[str, bytes, str, str], ...] = (
    ("not JSON", b"nonsense", "application/json", "BAD_REQUEST"),
    ("not text", b"\xff\xfe", "application/json", "BAD_REQUEST"),
    ("another shape", b'"text"', "application/json", "INVALID"),
    ("another type", b"a=1", "application/x-www-form-urlencoded", "UNSUPPORTED_MEDIA_TYPE"),
    ("no type", b"{}", "", "UNSUPPORTED_MEDIA_TYPE"),
)


def with_body() -> Iterator[tuple[Route, str, Operation]]:
    """Those that take a body of a shape, neither text nor any JSON; what strangers send is verified before."""
    return (found for found in OPERATIONS if found[2].body not in (None, str, Any) and found[2].scope is not None)


@pytest.mark.gen_test
async def test_a_body_that_is_wrong(web: Web) -> None:
    site = await web()
    key = await site.key("ingest", "read", "act", "admin")
    for route, method, _ in with_body():
        for what, body, media, code in WRONG:
            headers = {"If-Match": '"1"'} | ({"Content-Type": media} if media else {})
            found = await ask(site, route, method, key, body=body, headers=headers)
            assert found.code == CODES[code][0], (route.path, what, found.body)
            is_problem(found, code, address(route))


@pytest.mark.gen_test
async def test_text_that_is_none_is_the_callers_fault(web: Web) -> None:
    """Bytes that are no UTF-8, in the first text that the body may have, then in its names."""
    site = await web()
    key = await site.key("ingest", "read", "act", "admin")
    for route, method, one in with_body():
        many = get_origin(one.body) is list
        hints = get_type_hints(get_args(one.body)[0] if get_args(one.body) else one.body)  # or one of several kinds
        name = next((name for name, field in hints.items() if field is str), "reason").encode()
        for wrong in (b'{"%b": "a\xffb"}' % name, b'{"a\xff": 1}', b'{"%b": "\xed\xa0\x80"}' % name):
            body = b"[%b]" % wrong if many else wrong
            headers = {"If-Match": '"1"', "Content-Type": "application/json"}
            found = await ask(site, route, method, key, body=body, headers=headers)
            assert found.code in (400, 422), (route.path, found.body)
            is_problem(found, answer(found)["code"], address(route))


@pytest.mark.gen_test
async def test_head_answers_where_get_does_and_405_names_what_is_allowed(web: Web) -> None:
    site = await web()
    key = await site.key("read", "admin")
    for route, method, one in OPERATIONS:
        if method == "get" and "{" not in route.path:
            path = route.path + NEEDED.get(route.path, "").replace("no-such", "evenkeel")
            seen, head = await site.fetch(path, key=key), await site.fetch(path, key=key, method="HEAD")
            assert (head.code, head.body) == (seen.code, b""), route.path
            assert head.headers["Content-Type"].partition(";")[0] == one.media
    for path in ("/", "/sign-in", "/static/css/app.css", "/api/v1/services", "/no-such"):
        seen, head = await site.fetch(path), await site.fetch(path, method="HEAD")
        assert (head.code, head.body) == (seen.code, b""), path
    for path, allowed in (
        ("/api/v1/services", "GET, HEAD"),
        ("/api/v1/outcomes", "GET, HEAD, POST"),
        ("/sign-in", "GET, HEAD, POST"),
        ("/static/css/app.css", "GET, HEAD"),
        ("/live", "GET, HEAD"),
    ):
        for method in ("DELETE", "OPTIONS", "TRACE"):
            refused = await site.fetch(path, method=method, headers={"Accept": "*/*"})
            assert (refused.code, refused.headers["Allow"]) == (405, allowed)
            is_problem(refused, "METHOD_NOT_ALLOWED", path)


NO_FILES = [
    ("/static/nothing.css", 404, {}),
    ("/static/a%00b", 404, {}),
    ("/static/" + "a" * 5000, 404, {}),
    ("/static/css", 403, {}),
    ("/static/../server/app.py", 403, {}),
    ("/static/css/app.css", 416, {"Range": "bytes=99999999-"}),
    ("/favicon.ico", 404, {}),
    ("/api/v1/services/%ff/summary", 400, {}),
]


@pytest.mark.gen_test
async def test_files_answer_as_everything_else(web: Web) -> None:
    site = await web()
    for path, status, headers in NO_FILES:
        found = await site.fetch(path, headers=headers)
        assert (found.code, answer(found)["status"]) == (status, status), path
        assert answer(found)["request_id"] == found.headers["X-Request-Id"]
        assert found.headers["Content-Type"] == "application/problem+json"
        assert found.headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in found.headers


@pytest.mark.gen_test
async def test_a_body_nested_very_deep(web: Web) -> None:
    """The decoder's own bound answers, the process stays."""
    site = await web()
    key = await site.key("ingest", "act", "admin")
    for route, method, _ in with_body():
        body = (b"[" if route.path.endswith("/outcomes") else b'{"values": ') + b'{"x":' * 40_000
        headers = {"Content-Type": "application/json", "If-Match": '"1"'}
        found = await ask(site, route, method, key, body=body, headers=headers)
        assert 400 <= found.code < 500, (route.path, found.body[:200])
        assert answer(found)["code"] in ("BAD_REQUEST", "INVALID")
    assert (await site.fetch("/health/live")).code == 200


@pytest.mark.gen_test
async def test_the_database_away_is_said_and_nothing_else(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations that need it answer 503 with Retry-After; none answers with a trace."""
    site = await web()
    key = await site.key("read", "act", "admin")
    for route, method, one in OPERATIONS:  # so that the key is known here
        if one.scope == "read" and method == "get":
            await ask(site, route, method, key)
            break

    def lost(*_: Any, **__: Any) -> Any:
        raise OSError("connection refused")

    monkeypatch.setattr(type(site.parts.db), "ask", lost)
    monkeypatch.setattr(type(site.parts.db), "act", lost)
    lost_count = 0
    for route, method, one in GUARDED:
        if method != "get" or one.scope == "ingest":
            continue
        found = await ask(site, route, method, key, query=NEEDED.get(route.path, ""))
        if found.code == 503:
            is_problem(found, "UNAVAILABLE", address(route))
            assert int(found.headers["Retry-After"]) >= 1
            lost_count += 1
        else:
            assert found.code in (200, 404), (route.path, found.body)
    assert lost_count >= 6


@pytest.mark.gen_test
async def test_a_process_that_stood_still_in_a_transaction_has_it_sent_again(web: Web) -> None:
    site = await web()
    with pytest.raises(DBAPIError) as failure:  # noqa: PT012
        async with site.parts.db.act() as connection:
            await connection.execute(text("SET idle_in_transaction_session_timeout = '20ms'"))
            await asyncio.sleep(0.2)
            await connection.execute(text("SELECT 1"))
    told = as_api_error(failure.value, 500)
    assert (told.code, told.status, told.retry_after) == ("UNAVAILABLE", 503, 2)
    async with site.parts.db.act() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1


def test_codes_have_a_title_each() -> None:
    assert all(400 <= status < 600 and title for status, title in CODES.values())
    assert len({title for _, title in CODES.values()}) == len(CODES)
    assert msgspec.json.encode(CODES)
