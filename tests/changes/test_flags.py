"""Flags by their content: what differs is a change, what is only written otherwise is none."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import psycopg
import pytest
from tornado.web import Application, HTTPError, RequestHandler

from server.changes import flags
from server.changes.flag_sources import FlagPoller
from server.kernel.errors import ApiError
from tests.changes.test_hooks import changes
from tests.conftest import free_port
from tests.dashboard.visitor import look, press, said, sign_in
from tests.site import Site, answer

Web = Callable[..., Awaitable[Site]]
PAGE = "/setup/flags"
FLAGD: dict[str, Any] = {
    "flags": {
        "new-cart": {
            "state": "ENABLED",
            "variants": {"on": True, "off": False},
            "defaultVariant": "off",
            "targeting": {"if": [{"$ref": "beta"}, "on", None]},
        },
        "limit": {"state": "ENABLED", "variants": {"low": 1, "high": 10}, "defaultVariant": "low"},
    },
    "$evaluators": {"beta": {"$ref": "staff"}, "staff": {"ends_with": [{"var": "email"}, "@example.com"]}},
}


def summaries(before: Any, after: Any) -> list[str]:
    read = [flags.read(one if isinstance(one, bytes) else json.dumps(one).encode()) for one in (before, after)]
    return [one.summary for one in flags.differences(*read)]


def altered(path: str, value: Any) -> dict[str, Any]:
    made = json.loads(json.dumps(FLAGD))
    *way, last = path.split("/")
    inner = made
    for step in way:
        inner = inner[step]
    inner[last] = value
    return dict(made)


def test_what_is_written_otherwise_is_the_same() -> None:
    assert summaries(b'{"a": {"x": 1, "y": [1.0, 2]}, "b": 100}', b'{"b":1e2,"a":{"y":[1,2.0],"x":1.0}}') == []
    assert summaries({"flags": {"a": True}}, {"a": True, "$schema": "x"}) == []
    assert summaries(FLAGD, altered("metadata", {"version": 7})) == []


def test_what_differs_is_told_by_its_flag() -> None:
    before = {"a": True, "b": 1, "c": "red", "d": [1, 2], "e": 0}
    after = {"a": False, "b": True, "c": "blue", "d": [2, 1], "f": None}
    assert summaries(before, after) == [
        "a: on -> off",
        "b: 1 -> on",
        "c: red -> blue",
        "d: [1,2] -> [2,1]",
        "e: removed, was 0",
        "f: new, null",
    ]
    assert summaries(FLAGD, altered("flags/new-cart/defaultVariant", "on")) == ["new-cart: off -> on"]
    assert summaries(FLAGD, altered("flags/limit/state", "DISABLED")) == ["limit: low -> disabled"]
    assert summaries(FLAGD, altered("flags/limit/variants/low", 2)) == ["limit: low, by other rules"]
    assert summaries(FLAGD, altered("$evaluators/staff", True)) == ["new-cart: off, by other rules"]
    assert (
        len(flags.as_told(flags.differences({}, flags.read(json.dumps({str(n): n for n in range(50)}).encode())))) == 21
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"a": 1e999}', b"[" * 100_000, b"\xff", json.dumps({str(n): 1 for n in range(2001)}).encode()],
)
def test_what_is_no_document_of_flags_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as found:
        flags.read(body)
    assert found.value.code in ("INVALID", "BAD_REQUEST")


@pytest.mark.gen_test
async def test_a_document_that_is_sent_is_compared_with_the_last_one(web: Web) -> None:
    site = await web()
    key = await site.key("act", services=["checkout"])

    async def sent(document: Any, status: int = 200, path: str = "") -> Any:
        found = await site.fetch(f"/api/v1/hooks/flags{path}", method="POST", key=key, data=document)
        assert found.code == status, found.body
        return answer(found)

    assert await sent({"a": True, "b": 1}) == {"flags": 2, "changes": []}
    assert await sent({"b": 1.0, "a": True}) == {"flags": 2, "changes": []}
    assert (await sent({"a": False, "b": 1}))["changes"] == ["a: on -> off"]
    assert (await sent({"a": False}, path="?source=other"))["changes"] == [], "another document"
    await sent({"a": False}, 403, "?service=payments")
    (one,) = await changes(site)
    assert (one["kind"], one["service"], one["version"], one["summary"]) == (
        "flag",
        "checkout",
        "a off",
        "a: on -> off",
    )


class Flags(RequestHandler):
    """Where flags stand; Tornado answers 304 to who knows them."""

    document: Any = None
    told: ClassVar[list[tuple[int, str]]] = []

    def get(self) -> None:
        if self.document is None:
            raise HTTPError(502)
        self.write(self.document)

    def on_finish(self) -> None:
        self.told.append((self.get_status(), self.request.headers.get("X-Secret", "")))


@pytest.mark.gen_test
async def test_a_poller_sees_each_difference_once_whatever_lies_between(web: Web, database_url: str) -> None:
    site = await web(NOTIFY_ALLOW_PRIVATE="true")
    cookie, poller = await sign_in(site), FlagPoller(site.env, site.parts.db, site.parts.bus)

    async def looked(document: Any) -> list[str]:
        Flags.document = document
        with psycopg.connect(database_url) as connection:
            connection.execute("UPDATE flag_sources SET next_at = now()")
        await poller.run()
        return [one["summary"] for one in reversed(await changes(site))]

    port = free_port()
    server = Application([("/s3cret", Flags)]).listen(port, "127.0.0.1")
    fields = {"name": "flagd", "service": "<b>shop", "address": f"http://127.0.0.1:{port}/s3cret"}
    fields["header"] = "X-Secret: 0pen"
    wrong = await press(site, f"{PAGE}/add", cookie, **fields | {"header": "no header"})
    assert "is one header" in wrong.body.decode()
    assert "are read at" in said(await press(site, f"{PAGE}/add", cookie, **fields), site)
    assert await looked(FLAGD) == []
    page = (await look(site, PAGE, cookie)).body.decode()
    assert not [hidden for hidden in ("s3cret", "0pen", "<b>shop") if hidden in page]
    assert "2 flags" in page
    assert await looked(FLAGD) == []
    assert Flags.told == [(200, "0pen"), (304, "0pen")]
    seen = await looked(altered("flags/new-cart/defaultVariant", "on"))
    assert seen == ["new-cart: off -> on"]
    assert await looked(None) == seen, "an outage is no difference"
    assert "HTTP 502 Bad Gateway" in (await look(site, PAGE, cookie)).body.decode()
    assert await looked(FLAGD) == [*seen, "new-cart: on -> off"]
    (number,) = re.findall(r'name="id" value="(\d+)"', (await look(site, PAGE, cookie)).body.decode())
    assert "read no longer" in said(await press(site, f"{PAGE}/remove", cookie, id=number), site)
    server.stop()


@pytest.mark.gen_test
async def test_a_poller_reaches_into_no_private_network(web: Web) -> None:
    site = await web()
    admin = await site.key("admin")
    asked = {"name": "a", "service": "shop", "address": f"https://127.0.0.1:{free_port()}/"}
    found = await site.fetch("/api/v1/flag-sources", method="POST", key=admin, data=asked)
    assert answer(found)["errors"][0]["field"] == "address"
    asked["address"] = "https://localhost/flags"
    await site.fetch("/api/v1/flag-sources", method="POST", key=admin, data=asked)
    await FlagPoller(site.env, site.parts.db, site.parts.bus).run()
    (one,) = answer(await site.fetch("/api/v1/flag-sources", key=admin))
    assert "NOTIFY_ALLOW_PRIVATE" in one["error"]
