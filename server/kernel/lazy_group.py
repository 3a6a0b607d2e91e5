"""A group of commands that imports one once it is asked for, so that `gate` and a completing shell start quickly."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """`lazy` maps names to where each command stands: `package.module:function`."""

    def __init__(self, *args: Any, lazy: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.commands, *self.lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.lazy:
            module, _, function = self.lazy[cmd_name].partition(":")
            found: click.Command = getattr(import_module(module), function)
            return found
        return super().get_command(ctx, cmd_name)
