"""A server that answers about releases as Heroku's published schema says, and refuses what that does not allow."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema_rs
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

SCHEMA = json.loads((Path(__file__).parent / "heroku_release.json").read_text())
TOKEN = "HRKU-00000000-aaaa"


def release(version: int, commit: str, *, current: bool = False, eligible: bool = True) -> dict[str, Any]:
    """One release of the app shop."""
    made = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"release/{version}")),
        "version": version,
        "status": "succeeded",
        "description": f"Deploy {commit}",
        "current": current,
        "eligible_for_rollback": eligible,
        "slug": {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, commit))},
        "app": {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, "shop")), "name": "shop"},
        "user": {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, "mira")), "email": "mira@example.com"},
        "addon_plan_names": [],
        "output_stream_url": None,
        "created_at": "2026-11-29T12:00:00Z",
        "updated_at": "2026-11-29T12:00:00Z",
    }
    jsonschema_rs.validator_for(SCHEMA["release"]).validate(made)
    return made


@dataclass
class HerokuApp:
    """Its releases, and what was asked. `statuses` are answered first; `unheard`: it does what it is told, and the
    answer is lost."""

    url: str = ""
    releases: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def posts(self) -> int:
        return sum(1 for line in self.asked if line.startswith("POST"))

    def roll_back(self, to: str) -> dict[str, Any]:
        goal = next(one for one in self.releases if one["id"] == to)
        for one in self.releases:
            one["current"] = False
        newest = max(one["version"] for one in self.releases)
        made = release(newest + 1, "0000000", current=True) | {
            "slug": goal["slug"],
            "description": f"Rollback to v{goal['version']}",
        }
        self.releases.append(made)
        return made


@asynccontextmanager
async def heroku() -> AsyncIterator[HerokuApp]:
    """The app shop, where 5f2c1a9 runs and 4e81b07 ran before."""
    app = HerokuApp(releases=[release(41, "4e81b07f"), release(42, "5f2c1a90", current=True)])

    class Releases(RequestHandler):
        def prepare(self) -> None:
            app.asked.append(f"{self.request.method} {self.request.path}")
            if app.statuses:
                self.set_status(app.statuses.pop(0))
                self.finish({"id": "unauthorized", "message": "Invalid credentials provided."})
            elif self.request.headers["Authorization"] != f"Bearer {TOKEN}":
                self.set_status(401)
                self.finish()
            assert self.request.headers["Accept"] == "application/vnd.heroku+json; version=3"

        def get(self, name: str) -> None:
            assert self.request.headers["Range"].startswith("version ")
            self.set_header("Content-Type", "application/vnd.heroku+json; version=3")
            self.write(json.dumps(app.releases))

        def post(self, name: str) -> None:
            asked = json.loads(self.request.body)
            jsonschema_rs.validator_for(SCHEMA["rollback"]).validate(asked)
            self.set_status(201)
            self.write(json.dumps(app.roll_back(asked["release"])))

    server = HTTPServer(Application([(r"/apps/(shop)/releases", Releases)]))
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    app.url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    try:
        yield app
    finally:
        server.stop()
        await server.close_all_connections()
