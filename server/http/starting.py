"""What is answered instead of an address: until every part has started, and where only health and pages have room."""

from __future__ import annotations

from html import escape
from typing import Any

from server.http.body import LENGTH_MAX
from server.http.failures import as_api_error
from server.http.handler import ApiHandler
from server.kernel.errors import ApiError
from server.parts import Parts
from server.process.degraded import database_trouble, of_database, wait

AGAIN_S = 2
AGAIN = f"The database is tried again each second, this page looks every {AGAIN_S} s."
POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="{again_s}">
<title>Starting · Evenkeel</title>
<link rel="icon" href="/static/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/css/app.css">
<link rel="stylesheet" href="/static/css/pages.css">
</head>
<body>
<main class="page page-plain">
<section class="door">
  <p class="door-brand">Evenkeel</p>
  <div class="panel" role="status">
    <h1>Starting</h1>
    <p><b>{why}</b></p>
    <p>{kept}</p>
    <p class="secondary">{do}</p>
    <p class="secondary">Request <code>{request_id}</code></p>
  </div>
</section>
</main>
</body>
</html>
"""


class Instead(ApiHandler):
    """Any method, with a body of any length: a sender must not give up."""

    @classmethod
    def takes(cls, method: str) -> bool:
        """Nothing is looked at."""
        return True

    def body_limit(self) -> int:
        return LENGTH_MAX


class NoRoom(Instead):
    """The API on a connection beyond the usual number."""

    async def admit(self) -> None:
        self.closing = True
        raise ApiError("QUEUE_FULL", "Too many connections are open. Nothing was done: send it again.", retry_after=1)


class Starting(Instead):
    """Any address but health and what pages are made of. People get a page."""

    counted = False

    async def admit(self) -> None:
        why, kept, _ = sentences_of_start(self.parts)
        raise ApiError("UNAVAILABLE", f"Evenkeel is starting. {why} {kept} Send it again.", retry_after=AGAIN_S)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        body = self.tell(as_api_error(kwargs.get("exc_info", (None, None, None))[1], status_code))
        if "text/html" in self.request.headers.get("Accept", ""):
            self.set_header("Content-Type", "text/html; charset=utf-8")
            self.set_header("Content-Security-Policy", POLICY)
            why, kept, do = (escape(text) for text in sentences_of_start(self.parts))
            page = PAGE.format(again_s=AGAIN_S, request_id=escape(self.request_id), why=why, kept=kept, do=do)
            body = page.encode()
        self.finish(body)


def sentences_of_start(parts: Parts) -> tuple[str, str, str]:
    """What a start waits for, what is kept, and what to do, as sentences."""
    found = database_trouble(parts)
    why, do = "It reads what it needs from the database.", ""
    if found is not None:
        mode = of_database(parts, *found)
        why, do = f"{mode.says}.", mode.do
    waiting = parts.intake.waiting()
    kept = f" {wait(waiting.items)} on this machine's disk." if waiting.items else ""
    return (
        why,
        f"Nothing of this request was stored or done; what was acknowledged is kept.{kept}",
        f"{do} {AGAIN}".strip(),
    )
