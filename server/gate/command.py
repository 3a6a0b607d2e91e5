"""`python -m server gate --service S --kind deploy`: asks over HTTP and exits with the answer, for pipelines.

Needs the standard library and click alone: a pipeline has no database driver.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit

import click

from server.kernel.terminal import say

STATUS = {"allow": 0, "deny": 1, "unknown": 2}
CANNOT_BE_ASKED = 2
REASONS = ["normal", "security", "p0", "incident"]

TIMEOUT_S = 10.0
TRIES = 2
PAUSE_S = 1.0  # before the second try
BODY_MAX = 1024 * 1024


@click.command()
@click.option("--service", required=True, help="the service that the change goes to")
@click.option("--kind", required=True, type=click.Choice(["deploy", "revision", "scale", "flag"]))
@click.option("--version", default="", help="the version that is deployed: one that was rolled back is denied")
@click.option("--reason", default="normal", type=click.Choice(REASONS), show_default=True)
def gate(service: str, kind: str, version: str, reason: str) -> None:
    """Ask EVENKEEL_URL, with EVENKEEL_API_KEY, whether a change may go out now.

    Exits 0 where it may, 1 where it may not, 2 where that is not known or cannot be asked.
    """
    try:
        status = ask({"service": service, "kind": kind, "version": version, "reason": reason})
    except Exception as error:  # whatever it is, a 1 would say that the gate denies it
        say(ascii(f"The gate cannot be asked: {type(error).__name__}: {error}")[1:-1], err=True)
        sys.exit(CANNOT_BE_ASKED)
    sys.exit(status)


def ask(asked: dict[str, str]) -> int:
    """Print the answer; its exit status."""
    try:
        answer = fetch(asked)
    except NotAsked as error:
        say(f"The gate cannot be asked: {error}", err=True)
        return CANNOT_BE_ASKED
    say(answer["reason"])
    if answer["changes_when"]:
        at = f": {answer['changes_at']}," if answer["changes_at"] else ""
        say(f"Changes{at} {answer['changes_when']}.")
    for one in answer["postmortem"]:
        say(one["text"])
    return STATUS.get(answer["answer"], CANNOT_BE_ASKED)


class NotAsked(Exception):
    """There is no answer; the text says why and what to do."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the key is sent only to the address that was given."""

    def redirect_request(self, *_: Any) -> None:
        """None: a redirect is an error."""
        return


def fetch(asked: dict[str, str]) -> dict[str, Any]:
    """The answer; NotAsked names what is wrong. Tries twice where trying again can help."""
    url, key = os.environ.get("EVENKEEL_URL", "").rstrip("/"), os.environ.get("EVENKEEL_API_KEY", "").strip()
    if not usable(url):
        raise NotAsked(f"EVENKEEL_URL is {url!r}; set it to the address of Evenkeel, as https://evenkeel.example.com.")
    if not key or not key.isascii() or not key.isprintable():
        raise NotAsked("EVENKEEL_API_KEY is not set to a key; make one with the scope read.")
    request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
        f"{url}/api/v1/gate?{urlencode({name: value for name, value in asked.items() if value})}",
        headers={"Authorization": f"Bearer {key}", "Accept": "application/json"},
    )
    for left in reversed(range(TRIES)):
        try:
            return answered(*exchange(request), url)
        except (OSError, HTTPException, Again) as error:
            if not left:
                raise NotAsked(
                    f"{url} does not answer ({reason_of(error)}). Check EVENKEEL_URL and try again."
                ) from None
            time.sleep(PAUSE_S)
    raise AssertionError("the last try answers or raises")


def usable(url: str) -> bool:
    """Whether it is an address that can be asked."""
    try:
        parts = urlsplit(url)
    except ValueError:  # half an IPv6 address
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and url.isascii() and url.isprintable()


class Again(Exception):
    """The server failed; trying again may help."""


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


def answered(status: int, body: bytes, url: str) -> dict[str, Any]:
    """The gate's answer from a response's status and body. Raises Again for 5xx, NotAsked for any other refusal."""
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if status == 200 and isinstance(found, dict) and {"answer", "reason"} <= found.keys():
        return {"changes_at": None, "changes_when": "", "postmortem": []} | found
    if status >= 500:
        raise Again(f"status {status}")
    if not isinstance(found, dict) or "code" not in found:
        raise NotAsked(f"{url} answers, with status {status}, but not as Evenkeel does. Check EVENKEEL_URL.")
    if status == 401:
        raise NotAsked("EVENKEEL_API_KEY is not a valid key there; it may have been revoked.")
    raise NotAsked(str(found.get("detail", found["code"])))


def reason_of(error: BaseException) -> str:
    """Why no answer came, in a few words."""
    reason = getattr(error, "reason", None) or error
    return f"no answer within {TIMEOUT_S:g} s" if isinstance(reason, TimeoutError) else str(reason)
