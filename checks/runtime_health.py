"""A running server does what it promises: health, closed doors, size guards, request ids, speed.

The guards behind the key use EVENKEEL_API_KEY, else a short-lived key made in the
local database. Nothing that is sent can be stored: the batch is of items that are
not outcomes.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from checks.check import Check, Surroundings, Unavailable, fail, warn
from server.auth.keys import create_key
from server.auth.tokens import own_check_mark
from server.config.registry import SETTINGS, Counted
from server.kernel import shared_clock
from server.kernel.ids import uuid7
from server.kernel.names import OWN, OWN_CHECK, TRIAL
from server.process.readiness import STARTING
from server.selfcheck.findings import Finding

INGEST = "/api/v1/outcomes"
KEY_NAME = "self-check"
KEY_S = 60  # for one run
LASTING_KEY_S = 24 * 3600  # the service makes one a day, not one a run
KEY_LEFT_S = 30
TIMEOUT_S = 10.0  # of one request
START_S = 30.0  # a server that says that it is starting is waited for so long
LOOK_S = 0.5  # between looks
SAMPLES = 20
WARN_S = 0.3  # the shipped objective
FAIL_S = 1.0
# A body of so many of what is counted; nothing in it can be stored.
BODIES: Mapping[Counted | None, Callable[[int], bytes]] = {
    "bytes of a request": lambda size: b" " * size,
    "items of a request": lambda items: b"[" + b"0," * (items - 1) + b"0]",
}
LOG_HINT = "The server's log has the cause under this request_id."

# Read by people and tools all the time; each answers without parameters.
KEY_PATHS = ("/api/v1/services", "/api/v1/config", "/api/v1/slos", "/api/v1/checks", "/api/openapi.json", "/metrics")


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
    """Asks one server: raises for no status, and says what did not answer. Use as a context manager."""

    def __init__(self, base_url: str, key: str | None = None, mark: str = "") -> None:
        self.base_url = base_url.rstrip("/")
        self.key = key
        self.mark = {OWN_CHECK: mark} if mark else {}
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
        sent = self.mark | (headers or {})
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


@dataclass(slots=True)
class OwnKey:
    """The key made for these checks, for as long as it lasts."""

    key: str = ""
    until: float = 0.0


own_key = OwnKey()


async def run(around: Surroundings) -> list[Finding]:
    """Ask the server at the base URL."""
    if around.base_url is None:
        raise Unavailable("No server was named.", "python -m checks runtime_health --base-url http://localhost:8000")
    key = await key_for(around)
    mark = own_check_mark(around.env.secret_key) if around.lasting and around.env else ""
    with Probe(around.base_url, key, mark) as probe:
        await started(probe)
        findings = [*await health(probe), *await closed(probe), *await request_ids(probe), *await speed(probe)]
        if key is None:
            hint = "Set EVENKEEL_API_KEY to a key with the scopes ingest and read."
            return [*findings, warn("The guards and paths behind the key were not tried.", hint)]
        return [*findings, *await paths(probe), *await guards(probe)]


async def key_for(around: Surroundings) -> str | None:
    """EVENKEEL_API_KEY, else a key made in the local database, else None.

    The server's own look takes a key of its own: what a sender's key may do is no promise of the server.
    """
    given = None if around.lasting else os.environ.get("EVENKEEL_API_KEY")
    if given or around.db is None:
        return given
    if own_key.until - KEY_LEFT_S < shared_clock.now():
        lifetime_s = LASTING_KEY_S if around.lasting else KEY_S
        async with around.db.act() as connection:
            made = await create_key(connection, KEY_NAME, ["ingest", "read"], actor=OWN, lifetime_s=lifetime_s)
        own_key.key, own_key.until = made.key, shared_clock.now() + lifetime_s
    return own_key.key


async def started(probe: Probe) -> None:
    """Wait while the server says that it is starting: that is no fault, but for START_S at most."""
    for _ in range(int(START_S / LOOK_S)):
        if not starting(await probe.ask("/health/ready", as_stranger=True)):
            return
        await asyncio.sleep(LOOK_S)


def starting(answer: Answer) -> bool:
    found = answer.json() if answer.status == 503 else None
    parts = found.get("checks") if isinstance(found, dict) else None
    return any(one.get("output") == STARTING for seen in (parts or {}).values() for one in seen)


async def health(probe: Probe) -> list[Finding]:
    """Live and ready."""
    findings = []
    for path in ("/health/live", "/health/ready"):
        answer = await probe.ask(path, as_stranger=True)
        status = (answer.json() or {}).get("status")
        if answer.status != 200 or status == "fail":
            findings.append(unexpected(path, answer, "200", "docs/degrade.md says what to do for each part."))
        elif status == "warn":
            findings.append(warn(f"{worst_parts(answer)} warns.", "docs/degrade.md says what to do.", path))
        elif answer.media != "application/health+json":
            findings.append(fail(f"It answers {answer.media}.", "Expected application/health+json.", path))
    return findings


def worst_parts(answer: Answer) -> str:
    parts = (answer.json() or {}).get("checks") or {}
    named = [name for name, seen in parts.items() if any(one.get("status") != "pass" for one in seen)]
    return ", ".join(named) or "A part"


async def closed(probe: Probe) -> list[Finding]:
    """Strangers are turned away, with a problem document."""
    findings = []
    for path in KEY_PATHS:
        answer = await probe.ask(path, as_stranger=True)
        opened = path == "/metrics" and answer.status == 200  # METRICS_PUBLIC
        if not opened and (answer.status, answer.code) != (401, "UNAUTHENTICATED"):
            findings.append(unexpected(f"GET {path} without a key", answer, "401 UNAUTHENTICATED", LOG_HINT))
    page = await probe.ask("/", as_stranger=True)
    if page.status not in (302, 303):
        findings.append(unexpected("GET / without a session", page, "a redirect to sign-in", LOG_HINT))
    return findings


async def paths(probe: Probe) -> list[Finding]:
    """What is read all the time answers."""
    findings = []
    for path in KEY_PATHS:
        answer = await probe.ask(path)
        if answer.status != 200:
            findings.append(unexpected(f"GET {path}", answer, "200", LOG_HINT))
    return findings


async def guards(probe: Probe) -> list[Finding]:
    """One byte and one item too many are refused with the limit, as JSON."""
    limits = await limits_in_force(probe)
    size = min(limit for name, limit in limits.items() if SETTINGS[name].counted == "bytes of a request")
    findings = []
    for name, limit in limits.items():
        code, body, sent = SETTINGS[name].refuses, BODIES[SETTINGS[name].counted](limit + 1), limit + 1
        if len(body) > size + 1:
            continue  # a limit on bytes that small comes first
        answer = await probe.ask(INGEST, "POST", body, {"Content-Type": "application/json", TRIAL: "1"})
        said = answer.json() or {}
        refused = (answer.status, answer.code, said.get("sent")) == (413, code, sent)
        if not refused or not 0 < said.get("limit", 0) <= limit:
            what = f"{INGEST} with {sent} of {limit}"
            findings.append(unexpected(what, answer, f"413 {code} naming both", "Too much can come in."))
    return findings


async def limits_in_force(probe: Probe) -> dict[str, int]:
    """The limits on size, the highest of any key's, from the API; the defaults where the key may not read."""
    found = {name: int(setting.default) for name, setting in SETTINGS.items() if setting.counted in BODIES}
    answer = await probe.ask("/api/v1/config")
    for setting in (answer.json() or {}).get("settings", []) if answer.status == 200 else []:
        if setting["name"] in found:
            found[setting["name"]] = max(int(one["value"]) for one in (setting["in_force"], *setting["scopes"]))
    return found


async def request_ids(probe: Probe) -> list[Finding]:
    """A good X-Request-Id comes back, a bad one does not."""
    good, bad = f"health-{uuid7()}", "two words"
    findings = []
    for sent in (good, bad):
        answer = await probe.ask(f"/health/live?{urlencode({'t': uuid7()})}", headers={"X-Request-Id": sent})
        got = answer.headers.get("x-request-id", "")
        if not got or (got == sent) != (sent == good):
            what = f"X-Request-Id {sent!r} came back as {got!r}."
            findings.append(fail(what, "Requests cannot be found by id: is a proxy changing the header?"))
    return findings


async def speed(probe: Probe) -> list[Finding]:
    """The slowest but one of SAMPLES calls: the 95th percentile."""
    seconds = sorted([(await probe.ask("/health/live", as_stranger=True)).seconds for _ in range(SAMPLES)])
    slow = seconds[int(SAMPLES * 0.95) - 1]
    if slow <= WARN_S:
        return []
    say = fail if slow > FAIL_S else warn
    return [say(f"/health/live takes {slow * 1000:.0f} ms (p95 of {SAMPLES}).", "See the check loop_lag.")]


def unexpected(what: str, answer: Answer, expected: str, hint: str) -> Finding:
    got = f"{answer.status} {answer.code or answer.media}".strip()
    where = answer.headers.get("x-request-id", "")
    return fail(f"{what} answered {got}, not {expected}.", hint, where)


CHECK = Check(
    "runtime_health",
    "A running server answers, is closed to strangers and refuses what is too large",
    needs="server",
    run=run,
    every_s=600,
    limit_s=60,
)
