"""Heroku's Platform API: goes back to an earlier release of an app.

A release is found by the version that senders write: `v41`, the id of its slug, or the commit that its description
names, as `Deploy 4e81b07f`.
"""

from __future__ import annotations

import re
import shlex
from typing import TypeVar

import msgspec
from msgspec import Struct

from server.changes.adapters.adapter import Adapter, NotNow, Refused, Way, judged
from server.changes.target import DeployActName, DeployOrder
from server.kernel import outside
from server.kernel.errors import invalid
from server.kernel.outside import Closed, NoAnswer, Reply

API = "https://api.heroku.com"
APP = re.compile(r"[a-z][a-z0-9-]{1,28}[a-z0-9]|[0-9a-f-]{36}")
T = TypeVar("T")
COMMIT = re.compile(r"\b[0-9a-f]{7,40}\b")
MEDIA = "application/vnd.heroku+json; version=3"
NEWEST = "version ..; order=desc,max=50"


class Slug(Struct):
    """What a release runs."""

    id: str


class Release(Struct):
    """One release, as the published schema of the API has it."""

    id: str
    version: int
    status: str
    description: str = ""
    current: bool = False
    eligible_for_rollback: bool = False
    slug: Slug | None = None

    def is_of(self, version: str) -> bool:
        """Whether senders may call it so."""
        if version in (f"v{self.version}", str(self.version), self.id) or (self.slug and version == self.slug.id):
            return True
        lower = version.lower()
        return len(lower) >= 7 and any(lower.startswith(c) or c.startswith(lower) for c in COMMIT.findall(self.text))

    @property
    def text(self) -> str:
        return self.description.lower() if self.description.startswith("Deploy") else ""


class Heroku(Adapter):
    """Its address is the name of the app, its secret a token with the scope write."""

    name = "heroku"
    title = "Heroku"
    hint = "the name of the app, and a token with the scope write"
    can: frozenset[DeployActName] = frozenset({"roll_back"})

    def checked_address(self, address: str, *, private: bool) -> str:
        if not APP.fullmatch(address):
            raise invalid("address", "is the name of the app at Heroku, or its id")
        return address

    def command(self, address: str, order: DeployOrder) -> str:
        return f"git push --force https://git.heroku.com/{address}.git {shlex.quote(order.version)}:refs/heads/main"

    async def carry_out(self, way: Way, order: DeployOrder, now: float) -> str:
        releases = await self.releases(way)
        current = next((one for one in releases if one.current), None)
        goal = next((one for one in releases if one.is_of(order.version) and one.status == "succeeded"), None)
        if goal is None:
            raise Refused(f"no release of {way.target.address} among the last {len(releases)} is of {order.version}")
        if current is not None and current.slug is not None and current.slug == goal.slug:
            return f"v{current.version} runs {order.version}"  # by us, at a try that was not answered, or by somebody
        if not goal.eligible_for_rollback:
            raise Refused(f"Heroku does not go back to v{goal.version} of {way.target.address}: it is not eligible")
        made = await self.ask(way, "POST", msgspec.json.encode({"release": goal.id}))
        release = decoded(made, Release)
        return f"v{release.version}, a rollback to v{goal.version}, is {release.status}"

    async def probe(self, way: Way, now: float) -> str:
        releases = await self.releases(way)
        if any(one.eligible_for_rollback and not one.current for one in releases):
            return ""
        return f"no release of {way.target.address} is eligible for a rollback"

    async def releases(self, way: Way) -> list[Release]:
        """The newest releases, the newest first."""
        found = decoded(await self.ask(way, "GET", None), list[Release])
        return sorted(found, key=lambda one: -one.version)

    async def ask(self, way: Way, method: str, body: bytes | None) -> Reply:
        """One request about the releases of the app."""
        headers = {"Accept": MEDIA, "Authorization": f"Bearer {way.secret}"}
        headers |= {"Range": NEWEST} if method == "GET" else {}
        url = f"{API}/apps/{way.target.address}/releases"
        try:
            reply = await outside.send(url, body, headers, private=way.private, method=method)
        except (Closed, NoAnswer, OSError, ValueError) as error:
            raise NotNow(f"Heroku cannot be reached: {error}") from None
        return judged(reply, "Heroku")


def decoded(reply: Reply, kind: type[T]) -> T:
    """The body as its type. Raises NotNow for what is none."""
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except msgspec.MsgspecError:
        raise NotNow("Heroku answers something else than its schema says") from None


ADAPTER = Heroku()
