"""A whole web process in the test's own loop, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse

from server.app import Web, start_web
from server.kernel.settings import Environment
from tests.waiting import PATIENCE_S


class Site:
    """One running web process, and how to talk to it."""

    def __init__(self, env: Environment, web: Web) -> None:
        self.env = env
        self.web = web
        self.parts = web.parts
        self.url = f"http://127.0.0.1:{env.port}"
        self._client = AsyncHTTPClient(force_instance=True)

    async def key(self, *scopes: str, name: str = "test", services: Sequence[str] = ()) -> str:
        """A new API key, of every service or of some."""
        from server.auth.keys import create_key

        async with self.parts.db.act() as connection:
            created = await create_key(connection, name, scopes or ("ingest", "read"), services, actor="test")
        return created.key

    async def fetch(
        self,
        path: str,
        *,
        method: str = "GET",
        key: str | None = None,
        body: bytes | str | None = None,
        data: Any = None,
        headers: dict[str, str] | None = None,
    ) -> HTTPResponse:
        """One request; `data` is sent as JSON. Never raises for a status."""
        sent = dict(headers or {})
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        if data is not None:
            body = json.dumps(data)
            sent.setdefault("Content-Type", "application/json")
        request = HTTPRequest(
            self.url + path,
            method=method,
            headers=sent,
            body=body,
            allow_nonstandard_methods=True,
            follow_redirects=False,
            decompress_response=True,
            request_timeout=PATIENCE_S,
        )
        return await self._client.fetch(request, raise_error=False)

    async def close(self) -> None:
        self._client.close()
        await self.web.close(linger_s=0)  # of what is lingered for, tests/process/test_shutdown.py


async def start_site(env: Environment, name: str = "web.1") -> Site:
    """Start it and wait until every part has started."""
    web = await start_web(env, name)
    await web.starting
    return Site(env, web)


def answer(response: HTTPResponse) -> Any:
    """The JSON of an answer."""
    return json.loads(response.body)
