"""/mcp over HTTP: what every tool answers, against its own schema; errors, scopes, origins, older versions."""

from __future__ import annotations

import asyncio
from typing import Any

import jsonschema_rs
import pytest
from tornado.httpclient import HTTPResponse

from server.mcp import handlers
from server.mcp.handlers import TOOLS
from server.mcp.protocol import MODERN
from server.parts import Parts
from tests.dashboard.visitor import look, sign_in
from tests.live.rollups import lead
from tests.site import Site, answer
from tests.slo.over_http import outcome, picture, send

META = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}


class Client:
    """Asks as a client of 2026-07-28 does."""

    def __init__(self, site: Site, key: str) -> None:
        self.site, self.key = site, key

    async def ask(self, method: str, headers: dict[str, str] | None = None, **params: Any) -> HTTPResponse:
        message = {"jsonrpc": "2.0", "id": "one", "method": method, "params": params | {"_meta": META}}
        said = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method, "Accept": "application/json, text/event-stream"}
        said |= {"Mcp-Name": params["name"]} if "name" in params else {}
        return await self.site.fetch("/mcp", method="POST", key=self.key, data=message, headers=said | (headers or {}))

    async def result(self, method: str, **params: Any) -> dict[str, Any]:
        response = await self.ask(method, **params)
        assert response.code == 200, response.body
        found = answer(response)
        assert found["id"] == "one"
        return dict(found["result"])

    async def call(self, tool: str, **arguments: Any) -> Any:
        """What a tool answers, which its schema says."""
        found = await self.result("tools/call", name=tool, arguments=arguments)
        assert (found["resultType"], found["isError"]) == ("complete", False), found
        jsonschema_rs.validate(TOOLS[tool].shown["outputSchema"], found["structuredContent"])
        return found["structuredContent"]

    async def refused(self, tool: str, **arguments: Any) -> str:
        """What a tool says that could not answer."""
        found = await self.result("tools/call", name=tool, arguments=arguments)
        assert found["isError"], found
        return str(found["content"][0]["text"])


async def client_of(web: Any) -> tuple[Site, Client]:
    site = await web()
    return site, Client(site, await site.key("read", name="model"))


@pytest.mark.gen_test
async def test_every_tool_answers_as_its_schema_says(web: Any, database_url: str) -> None:
    lead(database_url, 1)
    site, client = await client_of(web)
    acts = await site.key("act", "ingest", name="people")
    sent = [outcome(500) | {"request_id": "lost-1", "version": "v2"}, *[outcome()] * 3]
    await send(site, acts, sent)
    deploy = {"service": "shop", "kind": "deploy", "version": "v2"}
    assert (await site.fetch("/api/v1/changes", method="POST", key=acts, data=deploy)).code in (200, 201)
    declared = await site.fetch("/api/v1/incidents", method="POST", key=acts, data={"title": "Shop", "service": "shop"})
    number = answer(declared)["incident"]["id"]
    await picture(site)
    tools = (await client.result("tools/list"))["tools"]
    assert [tool["name"] for tool in tools] == list(TOOLS)
    for tool in tools:
        assert tool["inputSchema"]["type"] == tool["outputSchema"]["type"] == "object", tool["name"]
        assert tool["annotations"]["readOnlyHint"] is True
        jsonschema_rs.validator_for(tool["inputSchema"])

    services = await client.call("services")
    assert {row["name"]: (row["volume"], row["error_ratio"]) for row in services["services"]}["shop"] == (4, 0.25)
    summary = await client.call("summary", service="shop", window="5m", group_by="version")
    assert [(row["name"], row["volume"], row["bad"]) for row in summary["groups"]] == [("", 3, 0), ("v2", 1, 1)]
    carried = await client.call("outcomes", request_id="lost-1")
    assert [(one["status"], one["version"]) for one in carried["outcomes"]] == [(500, "v2")]
    assert carried["lines"] == []
    assert {one["service"] for one in (await client.call("budgets", service="shop"))["objectives"]} == {"shop"}
    assert (await client.call("changes", service="shop"))["changes"][0]["version"] == "v2"
    assert (await client.call("suspects", service="shop"))["service"] == "shop"
    assert [one["id"] for one in (await client.call("incidents"))["incidents"]] == [number]
    room = await client.call("incident", incident_id=number)
    assert room["link"] == f"{site.env.public_url}/incidents/{number}"
    assert room["incident"]["incident"]["title"] == "Shop"

    proposal = await client.call("propose", incident_id=number, act="pause_deploys", why="v2 <fails>")
    assert (proposal["press"], proposal["done"]) == ("Pause deploys", False)
    prepared = (await look(site, proposal["link"].removeprefix(site.env.public_url), await sign_in(site))).body.decode()
    assert "Proposed: Pause deploys" in prepared
    assert "v2 &lt;fails&gt;" in prepared
    assert 'data-key="offer-proposed-1"' in prepared, "the form, filled in"
    again = await client.call("incident", incident_id=number)
    assert again["timeline"] == room["timeline"]  # nothing was done
    assert "CONFLICT" in await client.refused("propose", incident_id=number, act="accept", why="it is one")


@pytest.mark.gen_test
async def test_what_a_tool_refuses_is_told_in_words_and_what_is_no_call_as_an_error(
    web: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, client = await client_of(web)
    assert "service" in await client.refused("summary")
    assert "windoww" in await client.refused("summary", service="shop", windoww="5m")
    assert "NOT_FOUND" in await client.refused("suspects", service="nobody")
    assert "limit" in await client.refused("services", limit=0)
    assert "since" in await client.refused("changes", since="yesterday")
    assert "NOT_FOUND" in await client.refused("summary", service="a\0b")
    monkeypatch.setattr(handlers, "ANSWER_MAX", 10)
    assert "ask for less" in await client.refused("services")
    for params, code in (({"name": "drop"}, -32602), ({"name": "services", "arguments": []}, -32602)):
        response = await client.ask("tools/call", **params)
        assert (response.code, answer(response)["error"]["code"], answer(response)["id"]) == (400, code, "one")
    response = await client.ask("resources/list")
    assert (response.code, answer(response)["error"]["code"]) == (404, -32601)
    assert response.headers["Content-Type"] == "application/json"

    def lost(*_: Any) -> Any:
        raise OSError("connection refused")

    monkeypatch.setattr(type(site.parts.db), "ask", lost)
    assert "UNAVAILABLE" in await client.refused("services")
    monkeypatch.setattr(type(site.parts.db), "ask", lambda *_: 1 / 0)
    response = await client.ask("tools/call", name="services")
    assert (response.code, answer(response)["error"]["code"]) == (500, -32603)
    assert response.headers["X-Request-Id"] in answer(response)["error"]["message"]


@pytest.mark.gen_test
async def test_one_caller_has_few_calls_under_way(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, client = await client_of(web)
    go_on, waiting = asyncio.Event(), 0

    async def slow(parts: Parts, asked: Any) -> dict[str, Any]:
        nonlocal waiting
        waiting += 1
        await go_on.wait()
        return {}

    monkeypatch.setitem(TOOLS, "services", handlers.Tool("services", "", "", TOOLS["services"].asked, dict, slow))
    calls = [asyncio.create_task(client.result("tools/call", name="services")) for _ in range(handlers.CALLS_MAX)]
    while waiting < handlers.CALLS_MAX:
        await asyncio.sleep(0.005)
    assert "under way" in await client.refused("services")
    go_on.set()
    assert not any(found["isError"] for found in await asyncio.gather(*calls))
    assert not (await client.result("tools/call", name="services"))["isError"]


@pytest.mark.gen_test
async def test_who_may_ask(web: Any) -> None:
    site, client = await client_of(web)
    evil = await client.ask("tools/list", {"Origin": "http://evil.example"})
    assert (evil.code, answer(evil)["error"]["data"]["code"]) == (403, "FORBIDDEN")
    assert (await client.ask("tools/list", {"Origin": "null"})).code == 403
    assert (await client.ask("tools/list", {"Origin": site.env.public_url})).code == 200
    assert (await Client(site, await site.key("ingest")).ask("tools/list")).code == 403
    stranger = await Client(site, "ek_" + "x" * 43).ask("tools/list")
    assert (stranger.code, stranger.headers["WWW-Authenticate"].split()[0]) == (401, "Bearer")
    assert stranger.headers["Content-Type"] == "application/json"
    said = answer(stranger)
    assert (said["jsonrpc"], said["id"], said["error"]["code"]) == ("2.0", None, 401)  # without `id` it is not read
    assert said["error"]["message"] == said["error"]["data"]["detail"]
    for method in ("GET", "DELETE"):
        assert (await site.fetch("/mcp", method=method, key=client.key)).code == 405
    text = await site.fetch("/mcp", method="POST", key=client.key, body="{}", headers={"Content-Type": "text/plain"})
    assert (text.code, answer(text)["error"]["code"]) == (415, 415)


@pytest.mark.gen_test
async def test_a_client_that_shakes_hands_is_answered_too(web: Any) -> None:
    site, client = await client_of(web)

    async def ask(version: str, **message: Any) -> HTTPResponse:
        headers = {"MCP-Protocol-Version": version} if version else {}
        return await site.fetch(
            "/mcp", method="POST", key=client.key, data={"jsonrpc": "2.0", **message}, headers=headers
        )

    shaken = answer(await ask("", id=0, method="initialize", params={"protocolVersion": "2025-06-18"}))
    assert shaken["result"]["protocolVersion"] == "2025-06-18"
    noted = await ask("2025-06-18", method="notifications/initialized")
    assert (noted.code, noted.body) == (202, b"")
    listed = answer(await ask("2025-06-18", id=1, method="tools/list"))["result"]
    assert (len(listed["tools"]), listed.keys()) == (len(TOOLS), {"tools"})
    called = await ask("2025-06-18", id=2, method="tools/call", params={"name": "services", "arguments": {}})
    assert "resultType" not in answer(called)["result"]
    unknown = await ask("2025-06-18", id=3, method="resources/list")
    assert (unknown.code, answer(unknown)["error"]["code"]) == (200, -32601)
    odd = await ask("2025-06-18", id=4, method="tools/call", params={"name": ["services"]})
    assert (odd.code, answer(odd)["error"]["code"]) == (200, -32602)
    wrong = await ask("1900-01-01", id=4, method="tools/list")
    assert (wrong.code, answer(wrong)["error"]["code"]) == (400, -32022)
