"""What commands print: always so that nothing in it steers the terminal."""

from __future__ import annotations

import click

from server.kernel.text import visible


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text, its control characters visible."""
    click.echo(visible(text), err=err, nl=nl)
