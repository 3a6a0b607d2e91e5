"""Asks a running Evenkeel over HTTP, for commands: EVENKEEL_URL with EVENKEEL_API_KEY.

Needs the standard library alone: a pipeline has no database driver.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

TIMEOUT_S = 10.0
TRIES = 2
PAUSE_S = 1.0  # before the second try
BODY_MAX = 8 * 1024 * 1024
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class NotAsked(Exception):
    """There is no answer; the text says why and what to do."""


class Unanswered(NotAsked):
    """It was sent, and whether it was done nobody has said."""


class Again(Exception):
    """The server failed; trying again may help."""


class Busy(Again):
    """It says itself that it cannot just now, and what it did: mostly nothing."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the key is sent only to the address that was given."""

    def redirect_request(self, *_: Any) -> None:
        """None: a redirect is an error."""
        return


def call(
    path: str,
    scope: str,
    *,
    url: str = "",
    data: Any = None,
    key: str = "",
    method: str = "POST",
    headers: Mapping[str, str] = NO_HEADERS,
) -> bytes:
    """The body of a successful answer; NotAsked names what is wrong. Tries twice where trying again can help.

    `data` is sent as JSON (bytes as they are), by `method`, under the Idempotency-Key `key`: without one it is tried
    once. `scope` is what the API key needs; `url` is asked instead of EVENKEEL_URL.
    """
    url, api_key = where(scope, url)
    sent = {"Authorization": f"Bearer {api_key}", "Accept": "application/json"}
    if data is not None:
        sent |= {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
    request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
        url + path,
        data=data if data is None or isinstance(data, bytes) else json.dumps(data).encode(),
        headers=sent | dict(headers),
        method="GET" if data is None else method,
    )
    for left in reversed(range(TRIES if key or data is None else 1)):
        try:
            return answered(*exchange(request), url)
        except (OSError, HTTPException, Again) as error:
            if not left and isinstance(error, Busy):
                raise NotAsked(str(error)) from None
            if not left:
                raise Unanswered(
                    f"{url} does not answer ({reason_of(error)}). Check EVENKEEL_URL and try again."
                ) from None
            time.sleep(PAUSE_S)
    raise AssertionError("the last try answers or raises")


def where(scope: str, url: str = "") -> tuple[str, str]:
    """The address (EVENKEEL_URL, where none is given) and EVENKEEL_API_KEY; NotAsked where they cannot be used.

    `scope` is what the key needs.
    """
    given, api_key = url, os.environ.get("EVENKEEL_API_KEY", "").strip()
    url = (url or os.environ.get("EVENKEEL_URL", "")).rstrip("/")
    if given and not usable(url):
        raise NotAsked(f"--url is {url!r}; give the address of Evenkeel, as https://evenkeel.example.com.")
    if not url:
        raise NotAsked("EVENKEEL_URL is not set; set it to the address of Evenkeel, as https://evenkeel.example.com.")
    if not usable(url):
        raise NotAsked(f"EVENKEEL_URL is {url!r}; set it to the address of Evenkeel, as https://evenkeel.example.com.")
    if not api_key or not api_key.isascii() or not api_key.isprintable():
        raise NotAsked(f"EVENKEEL_API_KEY is not set to a key; make one with the scope {scope}.")
    return url, api_key


def usable(url: str) -> bool:
    """Whether it is an address that can be asked."""
    try:
        parts = urlsplit(url)
    except ValueError:  # half an IPv6 address
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and url.isascii() and url.isprintable()


class RemoteAnswer(NamedTuple):
    """What came back; `retry_after_s` None: it does not say."""

    status: int
    body: bytes
    retry_after_s: float | None = None


def post_bytes(address: str, api_key: str, body: bytes, headers: Mapping[str, str]) -> RemoteAnswer:
    """One try to send a body, whatever is answered. NotAsked: there is no answer."""
    sent = {"Authorization": f"Bearer {api_key}", "Accept": "application/json"} | dict(headers)
    request = urllib.request.Request(address, data=body, headers=sent)  # noqa: S310 - the scheme was looked at
    opener = urllib.request.build_opener(NoRedirect)
    try:
        with opener.open(request, timeout=TIMEOUT_S) as response:
            return RemoteAnswer(response.status, response.read(BODY_MAX))
    except urllib.error.HTTPError as error:
        with error:
            after = error.headers.get("Retry-After", "").strip()
            return RemoteAnswer(error.code, error.read(BODY_MAX), float(after) if after.isdecimal() else None)
    except (OSError, HTTPException) as error:
        raise NotAsked(f"{address.partition('?')[0]} does not answer ({reason_of(error)}).") from None


def said_of(answer: RemoteAnswer) -> str:
    """What an answer says of itself."""
    found = parsed(answer.body)
    if isinstance(found, dict) and "code" in found:
        return str(found.get("detail", found["code"]))
    return "it does not answer as Evenkeel does. Check --url."


def exchange(request: urllib.request.Request) -> tuple[int, bytes]:
    """The status and the body of one try."""
    opener = urllib.request.build_opener(NoRedirect)
    try:
        with opener.open(request, timeout=TIMEOUT_S) as response:
            return response.status, response.read(BODY_MAX)
    except urllib.error.HTTPError as error:
        with error:
            if 300 <= error.code < 400:
                leads = error.headers.get("Location", "elsewhere")
                raise NotAsked(f"EVENKEEL_URL redirects to {leads}; set it to where that leads.") from None
            return error.code, error.read(BODY_MAX)


def answered(status: int, body: bytes, url: str) -> bytes:
    """The body of a success. Raises Again for 5xx, NotAsked for any other refusal."""
    if 200 <= status < 300:
        return body
    found = parsed(body)
    if status >= 500:
        told = found.get("detail") if isinstance(found, dict) and "code" in found else None
        raise Busy(str(told)) if told and status == 503 else Again(f"status {status}")
    if not isinstance(found, dict) or "code" not in found:
        raise not_evenkeel(status, url)
    if status == 401:
        raise NotAsked("EVENKEEL_API_KEY is not a valid key there; it may have been revoked.")
    raise NotAsked(str(found.get("detail", found["code"])))


def parsed(body: bytes) -> Any:
    """What a body of JSON holds; None for what is none."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def not_evenkeel(status: int, url: str = "") -> NotAsked:
    """Somebody else answers there."""
    where = url or os.environ.get("EVENKEEL_URL", "").rstrip("/")
    return NotAsked(f"{where} answers, with status {status}, but not as Evenkeel does. Check EVENKEEL_URL.")


def reason_of(error: BaseException) -> str:
    """Why no answer came, in a few words."""
    reason = getattr(error, "reason", None) or error
    return f"no answer within {TIMEOUT_S:g} s" if isinstance(reason, TimeoutError) else str(reason)
