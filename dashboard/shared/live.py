"""What a live page is: a typed context, a template, and the partials that are its regions.

`show` (dashboard/shared/page.py) makes the whole page from them, and the stream
(dashboard/shared/stream.py) makes the regions again each second. A region's partial sees
`view` (the page's context), `shell` (the frame's), `may` (the scopes of who looks),
`now` and `xsrf()`; it never holds what belongs to one viewer, as it is made once for all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from dashboard.shared.rendering import render
from dashboard.shared.shell import Shell, shell
from server.http.operation import Scope
from server.parts import Parts


@dataclass(frozen=True, slots=True)
class Ask:
    """One distinct view of a page: all who ask the same are sent the same."""

    args: tuple[tuple[str, str], ...] = ()
    may: frozenset[Scope] = frozenset()

    def get(self, name: str, default: str = "") -> str:
        """One argument of the page's address."""
        return dict(self.args).get(name, default)


Context = Callable[[Parts, Ask, float], Awaitable[Any]]


Looked = Callable[[Parts, Ask, list[str]], Awaitable[None]]


async def anybody(parts: Parts, ask: Ask, people: list[str]) -> None:
    """For a page that does not say who looks at it."""


async def anything(parts: Parts, ask: Ask) -> None:
    """For a page that has something to show whatever is asked."""


@dataclass(frozen=True, slots=True)
class LivePage:
    """One page. `context(parts, ask, now)` is called for the page and then each second, with `now` in Unix seconds.

    `args` names the arguments of the address that the page depends on. `regions`
    maps an element's id to the partial that fills it; each such element stands in
    the template as `{{ region("id") }}`. `require` raises ApiError NOT_FOUND where what is asked for is not there.
    """

    name: str
    template: str
    context: Context
    regions: Mapping[str, str]
    args: tuple[str, ...] = ()
    require: Callable[[Parts, Ask], Awaitable[None]] = anything
    looked: Looked = anybody  # told every few seconds who has it open here
    wakes: tuple[str, ...] = ()  # topics of the bus at which it is made again at once, between pictures
    needs: Scope = "read"
    title: str = "Evenkeel"
    titles: Callable[[Any], str] = field(default=lambda view: "")


PAGES: dict[str, LivePage] = {}
FRAME = {"notices": "shell/notices.html"}  # regions that every page has
# The field of a form in a region: made once for all, so the token of each viewer is put in afterwards.
XSRF_FIELD = Markup('<input type="hidden" name="_xsrf" value="">')


def live_page(page: LivePage) -> LivePage:
    """Register a page under its name, so that `/live?page=NAME` streams its regions."""
    PAGES[page.name] = page
    return page


@dataclass(slots=True)
class MadeRegion:
    """A page's regions as HTML by id, and what they were made from."""

    view: Any
    shell: Shell
    regions: dict[str, str]
    title: str


async def make(page: LivePage, parts: Parts, ask: Ask, now: float) -> MadeRegion:
    """The page's regions now."""
    view = await page.context(parts, ask, now)
    frame = shell(parts, now)
    partials = {**FRAME, **page.regions}
    context = {"view": view, "shell": frame, "may": ask.may, "xsrf": lambda: XSRF_FIELD, "now": now}
    regions = {id_: render(partial, **context) for id_, partial in partials.items()}
    return MadeRegion(view, frame, regions, page.titles(view) or page.title)
