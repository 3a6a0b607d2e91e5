"""Who presses a button."""

from __future__ import annotations

from msgspec import Struct


class Press(Struct):
    """Who acts, in which request, and under which key; what one sends twice under one key was meant once."""

    by: str
    request_id: str
    given_key: str | None = None

    @property
    def key(self) -> str | None:
        """The key among everybody's; what was asked under it follows."""
        return f"{len(self.by)}/{self.by}/{self.given_key}/" if self.given_key else None
