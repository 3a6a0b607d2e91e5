"""What the commands share that ask a running Evenkeel: --url and --json, and their exit statuses.

Needs the standard library and click alone, as server/kernel/remote.py does.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import click

from server.kernel.remote import NotAsked, Unanswered, call, not_evenkeel, parsed
from server.kernel.terminal import say

T = TypeVar("T")

NOTHING = 1  # the exit status where it was asked, and there is no such thing, or not all of it was done
CANNOT_BE_ASKED = 2  # where it cannot be asked, or refuses


class Remote(NamedTuple):
    """The Evenkeel that a command asks, and how it answers."""

    url: str  # '': EVENKEEL_URL
    as_json: bool

    def get(self, path: str) -> Any:
        """What is there; says why where it cannot be told, and exits with 2."""
        return answered(lambda: decoded(self.fetch(path)))

    def text(self, path: str) -> str:
        """The same, for what is no JSON."""
        return answered(lambda: self.fetch(path).decode())

    def fetch(self, path: str) -> bytes:
        """The body of an answer; raises NotAsked."""
        return call(path, "read", url=self.url)

    def act(self, path: str, data: dict[str, Any], *, key: str = "", method: str = "POST", **headers: str) -> Any:
        """What came of an act. With `key` a second try is the same act; without, there is none."""

        def acted() -> Any:
            try:
                return decoded(call(path, "act", url=self.url, data=data, key=key, method=method, headers=headers))
            except Unanswered as error:
                raise NotAsked(f"It is not known whether it was done. {error}") from None

        return answered(acted)

    def show(self, found: Any, people: Callable[[], None]) -> None:
        """Print the API's own answer with --json, else what is for people."""
        if self.as_json:
            say(json.dumps(found, indent=2))
        else:
            people()


def asks(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command --url and --json, and as its first argument the Remote that it asks."""

    @functools.wraps(command)
    def run(*, url: str, as_json: bool, **given: Any) -> None:
        command(Remote(url, as_json), **given)

    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the API's own answer."),
        click.option("--url", default="", metavar="URL", help="Evenkeel's address; else EVENKEEL_URL."),
    ):
        run = option(run)
    return run


def decoded(body: bytes) -> Any:
    """An answer of ours; NotAsked for what is none."""
    found = parsed(body)
    if not isinstance(found, dict):
        raise not_evenkeel(200)
    return found


def answered(question: Callable[[], T]) -> T:
    """The answer; says why where there is none, and exits with 2."""
    try:
        return question()
    except NotAsked as error:
        say(str(error), err=True)
        sys.exit(CANNOT_BE_ASKED)


def field_of(text: str) -> tuple[str, Any]:
    """`severity=1` as a name and a value: a number, true or false where it is one."""
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is no FIELD=VALUE")
    if value in ("true", "false"):
        return name, value == "true"
    return name, int(value) if value.isascii() and value.isdigit() else value
