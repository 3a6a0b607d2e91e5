"""One HTTP client for runtime_health: it never raises for a status, and says what did not answer."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, NamedTuple

import msgspec
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from checks.check import Unavailable

TIMEOUT_S = 10.0


class Answer(NamedTuple):
    """What a server answered, and how long that took in seconds."""

    status: int
    media: str
    headers: dict[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return None

    @property
    def code(self) -> str:
        """The code of a problem document, or empty."""
        found = self.json()
        return str(found.get("code", "")) if self.media == "application/problem+json" and found else ""


class Probe:
    """Asks one server. Use as a context manager."""

    def __init__(self, base_url: str, key: str | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        self.key = key
        self._client = AsyncHTTPClient(force_instance=True)

    def __enter__(self) -> Probe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    async def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        as_stranger: bool = False,
    ) -> Answer:
        """One request, with the key where there is one; Unavailable where nothing answers."""
        sent = dict(headers or {})
        if self.key and not as_stranger:
            sent["Authorization"] = f"Bearer {self.key}"
        request = HTTPRequest(
            self.base_url + path,
            method,
            sent,
            body,
            follow_redirects=False,
            connect_timeout=TIMEOUT_S,
            request_timeout=TIMEOUT_S,
        )
        started = time.perf_counter()
        try:
            response = await self._client.fetch(request, raise_error=False)
        except OSError as error:
            response = None
            reason = str(error)
        if response is None or response.code == 599:
            reason = reason if response is None else str(response.error)
            raise Unavailable(f"{method} {self.base_url}{path} did not answer: {reason}.", "Is the server running?")
        media = response.headers.get("Content-Type", "").partition(";")[0].strip()
        received = {name.lower(): value for name, value in response.headers.get_all()}
        return Answer(response.code, media, received, response.body or b"", time.perf_counter() - started)
