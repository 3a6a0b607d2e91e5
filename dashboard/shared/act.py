"""A form with one button: what came of it, a refusal too, is told on the page that it leads back to."""

from __future__ import annotations

from abc import ABC, abstractmethod

from dashboard.shared.page import Page
from server.kernel.errors import ApiError


class Act(Page, ABC):
    """One act of a person. `told` names the refusals that are told where the button was; others are an error page."""

    told: tuple[str, ...] = ("INVALID", "CONFLICT", "NOT_FOUND")

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
        if error.code not in self.told:
            raise error
        self.say(error.detail)
        self.see_other(self.back)
