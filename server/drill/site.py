"""The running instance that a drill is sent to, asked over HTTP with the key of who drills, or one of its own."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Sequence
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.parse import quote

from server.kernel.remote import NotAsked, exchange, not_evenkeel, parsed, reason_of

SCOPES = "read, act and admin"
LOST_RACES = 5


class SiteAnswer(NamedTuple):
    """A status and what the body holds."""

    status: int
    body: dict[str, Any]

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def code(self) -> str:
        """Why it was refused; '' where it was not."""
        return "" if self.ok else str(self.body.get("code", self.status))


class TakenOver(NotAsked):
    """Its keys are another drill's now, and so is what is open."""


class DrillKey(NamedTuple):
    """A key of the drill's own: it may send the drill's service, and no other."""

    id: int
    secret: str

    @property
    def scope(self) -> str:
        """Of settings that hold for it alone."""
        return f"key:{self.id}"


class DrillSite:
    """Every address that a drill needs. NotAsked where there is no answer, or a refusal that it does not expect."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key

    def ask(self, method: str, path: str, data: Any = None, *, key: str = "", **headers: str) -> SiteAnswer:
        """One request; tried again where no answer came, under the same Idempotency-Key."""
        sent = {"Authorization": f"Bearer {key or self.key}", "Accept": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        body = None
        if data is not None:
            body, sent["Content-Type"] = json.dumps(data).encode(), "application/json"
            sent["Idempotency-Key"] = uuid.uuid4().hex
        request = urllib.request.Request(self.url + path, body, sent, method=method)  # noqa: S310 - looked at
        try:
            status, answered = exchange(request)
        except (OSError, HTTPException):
            try:
                status, answered = exchange(request)
            except (OSError, HTTPException) as error:
                raise NotAsked(f"{self.url} does not answer ({reason_of(error)}).") from None
        found = parsed(answered)
        if isinstance(found, list):
            found = {"items": found}
        if not isinstance(found, dict):
            raise not_evenkeel(status, self.url)
        return SiteAnswer(status, found)

    def want(self, method: str, path: str, data: Any = None, **headers: str) -> dict[str, Any]:
        """The body of a success; NotAsked for a refusal, in its own words."""
        answer = self.ask(method, path, data, **headers)
        if answer.status == 403:
            raise NotAsked(f"{answer.body.get('detail', 'Refused.')} A drill needs a key of the scopes {SCOPES}.")
        if not answer.ok:
            raise NotAsked(str(answer.body.get("detail", answer.code)))
        return answer.body

    def make_key(self, name: str, service: str) -> DrillKey:
        """A key that may send this service alone; what an earlier drill has left under this name is revoked."""
        for one in self.want("GET", "/api/v1/keys")["items"]:
            if one["name"] == name and one["revoked_at"] is None:
                self.revoke(one["id"])
        made = self.want("POST", "/api/v1/keys", {"name": name, "scopes": ["ingest"], "services": [service]})
        return DrillKey(made["id"], made["key"])

    def revoke(self, key_id: int) -> None:
        self.want("DELETE", f"/api/v1/keys/{key_id}")

    def send(self, key: DrillKey, items: Sequence[dict[str, Any]]) -> str:
        """Send outcomes; the code of the refusal, '' where they were taken. TakenOver where the key was revoked."""
        code = self.ask("POST", "/api/v1/outcomes", items, key=key.secret).code if items else ""
        if code == "UNAUTHENTICATED":
            raise TakenOver(
                f"Key {key.id} was revoked, as a drill of this scenario does that begins: that one goes on, and its "
                "incident is left to it."
            )
        return code

    def incidents(self, service: str = "") -> list[dict[str, Any]]:
        """The open ones, of one service or of all."""
        of_it = f"&service={quote(service, safe='')}" if service else ""
        found: list[dict[str, Any]] = self.want("GET", f"/api/v1/incidents?state=open{of_it}")["incidents"]
        return found

    def room(self, incident: int) -> dict[str, Any]:
        """One incident with all that is in it."""
        return self.want("GET", f"/api/v1/incidents/{incident}")

    def act(self, incident: int, act: str, **fields: Any) -> str:
        """Act in an incident; what was done, in words."""
        return str(self.want("POST", f"/api/v1/incidents/{incident}/acts", {"act": act, **fields})["message"])

    def suspects(self, service: str, at: str, over_ms: float | None) -> list[dict[str, Any]]:
        """The suspects of the first cause, the best first; none where nothing can be told yet."""
        slow = f"&over_ms={over_ms:g}" if over_ms else ""
        path = f"/api/v1/services/{quote(service, safe='')}/suspects?at={quote(at)}{slow}"
        causes = self.want("GET", path)["causes"]
        return list(causes[0]["suspects"]) if causes else []

    def limit(self, key: DrillKey, name: str, value: int | None, minutes: int | None, reason: str) -> int:
        """Give one key a limit for a time, or take it away (None); the revision. NotAsked where it is refused."""
        asked = {"scope": key.scope, "values": {name: value}, "minutes": minutes, "reason": reason}
        for _ in range(LOST_RACES):
            seen = self.want("GET", "/api/v1/config")["revision"]["revision"]
            answer = self.ask("PATCH", "/api/v1/config", asked, If_Match=f'"{seen}"')
            if answer.ok:
                return int(answer.body["revision"])
            if answer.status != 412:
                break
        raise NotAsked(str(answer.body.get("detail", answer.code)))
