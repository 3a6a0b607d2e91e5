"""Who calls: a key or a signed-in person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Identity:
    """A key or a person whose credentials were found good."""

    kind: Literal["key", "person"]
    id: int  # of the key or of the user
    name: str  # the key's name, or the e-mail address
    scopes: frozenset[str]
    role: str = ""  # people only
    session_id: int = 0  # people only

    @property
    def key_id(self) -> int:
        """The key's id; 0 for people."""
        return self.id if self.kind == "key" else 0

    @property
    def actor(self) -> str:
        """The name under which acts are audited."""
        return f"key:{self.name}" if self.kind == "key" else self.name
