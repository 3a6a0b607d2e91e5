"""Changes, as a language model asks for them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from server.changes.handlers import Changes, ChangesAsked, changes_of
from server.mcp.tool import Tool


class ChangesWanted(ChangesAsked):
    """Newest first. `since`: RFC 3339, by default 24 hours ago. `before` is the `next` of the page before."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20


TOOLS = (
    Tool(
        "changes",
        "Changes",
        "What altered production: deploys, revisions of settings, flags, scaling; each with its verdict, how what "
        "failed since compares with what failed before. With `service` its own, and those that touch every service.",
        ChangesWanted,
        Changes,
        changes_of,
    ),
)
