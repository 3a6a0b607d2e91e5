"""Routes of paths: patterns of people, what is learned from many paths, and that all processes say the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from server.ingest.routes.templates import LEARN_AT, Learner, PathTree, pattern_fault
from server.kernel.db import AWAY
from tests.ingest.making import rows
from tests.ingest.outage import away
from tests.site import Site, answer
from tests.waiting import until


def word(n: int) -> str:
    """A name, no id."""
    return f"thing-{chr(97 + n % 26)}{chr(97 + n // 26)}"


def routes(patterns: list[tuple[str, bool]], *paths: str) -> list[str]:
    tree = PathTree(patterns)
    return [tree.route(path).route for path in paths]


def test_patterns_of_people() -> None:
    patterns = [(one, False) for one in ("/shop/:slug", "/shop/new", "/static/*", "/errors/404", "/:tenant/admin")]
    paths = ("/shop/blue-shoes/7", "/shop/new?x", "/static/a/b.js", "/errors/404", "/errors/7", "/acme/admin", "/x/9")
    assert routes(patterns, *paths) == [
        "/shop/:slug/:id",
        "/shop/new",
        "/static/*",
        "/errors/404",
        "/errors/:id",
        "/:tenant/admin",
        "/:tenant/:id",
    ]


def test_what_was_learned_below_ids_leaves_the_names_beside_them() -> None:
    patterns = [("/users/:id/tags/:id", True), ("/docs/:id", True)]
    assert routes(patterns, "/users/7/tags/red", "/users/me/tags/red", "/docs/intro") == [
        "/users/:id/tags/:id",
        "/users/me/tags/red",
        "/docs/:id",
    ]
    assert routes([("!/docs/:page", False), *patterns], "/docs/intro", "/docs/7") == ["/docs/intro", "/docs/:id"]


def test_a_place_with_many_names_is_learned_and_its_frequent_names_stay() -> None:
    learner, tree = Learner(), PathTree([])
    found: list[str] = []
    for n in range(LEARN_AT):
        for path in (f"/items/{word(n)}", "/items/search", f"/items/{n}", f"/{word(n)}"):
            found += learner.saw("shop", tree.route(path))
    assert found == ["/items/search", "/items/:id"]


def test_a_pattern_that_is_none_is_said() -> None:
    good = ("/", "/a", "/a/:b/*", "/*", "!/docs/:page", "/a-b.c/:x_1", "/a/")
    assert [one for one in good if pattern_fault(one)] == []
    bad = ("", "a", "/a b", "/a/:", "/a/*/b", "/a?b", "!/docs", "/:1", "/" + "x" * 600, "//a")
    assert [one for one in bad if not pattern_fault(one)] == []


Start = Callable[..., Any]
PATTERNS = "/api/v1/services/shop/route-patterns"


def tried(site: Site, paths: Sequence[str], status: int = 200) -> list[str]:
    return [site.parts.routes.route("shop", path, status) for path in paths]


@pytest.mark.gen_test
async def test_every_process_says_the_same_also_after_a_restart(web: Start) -> None:
    one, other = await web(), await web("web.2")
    assert tried(one, [f"/items/{word(n)}" for n in range(LEARN_AT)])[-1] == f"/items/{word(LEARN_AT - 1)}"
    for site in (one, other):
        await until(lambda site=site: tried(site, ["/items/other"]) == ["/items/:id"], "what was learned")
    # Strangers' paths teach nothing, and have no route.
    assert tried(one, [f"/probes/{word(n)}" for n in range(LEARN_AT + 1)], 404)[-1] == "(not found)"
    key = await one.key("read", "act", "ingest", services=["shop"])
    set_ = await one.fetch(PATTERNS, method="POST", key=key, data={"patterns": ["/items/:slug", "/items/new"]})
    assert [(each["pattern"], each["author"]) for each in answer(set_)["patterns"]] == [
        ("/items/:slug", "key:test"),
        ("/items/new", "key:test"),
        ("/items/:id", ""),
    ]
    asked = ["/items/other", "/items/new"]
    for site in (one, other):
        await until(lambda site=site: tried(site, asked) == ["/items/:slug", "/items/new"], "what people say")
    restarted = await web("web.3")
    assert tried(restarted, asked) == ["/items/:slug", "/items/new"]
    sent = {"service": "shop", "route": "/items/:slug", "method": "GET", "status": 200, "duration_ms": 1}
    assert (await one.fetch("/api/v1/outcomes", method="POST", key=key, data=[sent])).code == 201
    assert tried(one, ["/items/gone"], 404) == ["/items/:slug"]


@pytest.mark.gen_test
async def test_what_is_learned_during_an_outage_is_kept_until_it_is_stored(web: Start, database_url: str) -> None:
    site = await web()
    with away(database_url):
        tried(site, [f"/items/{word(n)}" for n in range(LEARN_AT)])
        for n in range(LEARN_AT):
            for service in ("a\0b", "é" * 900):  # no database holds them
                site.parts.routes.route(service, f"/items/{word(n)}", 200)
        with pytest.raises(AWAY):
            await site.parts.routes._look()
    site.parts.routes._loop.wake()  # it looks twice a minute by itself
    await until(lambda: tried(site, ["/items/other"]) == ["/items/:id"], "what was learned")
    assert rows(database_url, "SELECT DISTINCT service FROM route_patterns") == [("shop",)]


@pytest.mark.gen_test
async def test_patterns_that_are_refused(web: Start) -> None:
    site = await web()
    key = await site.key("read", "act")
    wrong = await site.fetch(PATTERNS, method="POST", key=key, data={"patterns": ["/a", "b"]})
    assert (wrong.code, answer(wrong)["errors"][0]["field"]) == (422, "patterns[1]")
    others = await site.key("act", services=["mail"], name="other")
    assert (await site.fetch(PATTERNS, method="POST", key=others, data={"patterns": []})).code == 403
    assert answer(await site.fetch(PATTERNS, key=key)) == {"patterns": []}
