"""Every kind of target: each file of this folder holds one, as KIND."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Literal

from server.notify.kind import Kind, Parcel, Post


def found() -> dict[str, Kind]:
    """The kinds of this folder by name, in their places on Setup."""
    kinds: list[Kind] = [import_module(f"{__name__}.{module.name}").KIND for module in iter_modules(__path__)]
    return {kind.name: kind for kind in sorted(kinds, key=lambda kind: kind.place)}


KINDS = found()

if TYPE_CHECKING:
    KindName = str
else:
    KindName = Literal[tuple(KINDS)]


class Unknown(Kind):
    """What another version of Evenkeel added: it is listed and can be removed, but nothing can be sent to it."""

    def __init__(self, name: str) -> None:
        self.name = self.title = name

    def shown_address(self, address: str) -> str:
        return "…"

    def messages(self, parcel: Parcel, public_url: str, now: float) -> list[Post]:
        return []


def kind_of(name: str) -> Kind:
    """The kind of this name."""
    return KINDS.get(name) or Unknown(name)
