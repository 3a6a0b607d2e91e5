"""A form with one button: what came of it, a refusal too, is said on the page that it leads back to."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

from dashboard.shared.page import Page
from server.kernel.errors import ApiError, invalid

WHOLE = re.compile(r"\d{1,11}", re.ASCII)


class ActPage(Page, ABC):
    """One act of a person. `refusals`: the codes that are said where the button was; others are an error page."""

    refusals: tuple[str, ...] = ("INVALID", "CONFLICT", "NOT_FOUND")

    @property
    @abstractmethod
    def back(self) -> str:
        """Where it leads back to."""

    @abstractmethod
    async def act(self) -> str | None:
        """Do it; what was done, in words. None: it has been answered."""

    async def post(self) -> None:
        try:
            done = await self.act()
        except ApiError as error:
            await self.refused(error)
            return
        if done is not None:
            self.say(done)
            self.see_other(self.back)

    async def refused(self, error: ApiError) -> None:
        """Tell why nothing was done."""
        if error.code not in self.refusals:
            raise error
        self.say(error.detail)
        self.see_other(self.back)


def whole(page: Page, name: str) -> int:
    """A whole number in a form's field, or ApiError INVALID."""
    text = page.get_body_argument(name, "")
    if WHOLE.fullmatch(text) is None:
        raise invalid(name, "give a whole number")
    return int(text)
