"""What commands print: always so that nothing in it steers the terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

import click

from server.kernel.text import NONE, visible

GAP = "  "
CELL_MAX = 60  # characters that others are aligned to: what is longer, as a traceback, moves its own row alone
# How words of a table look where there is colour; the words say it without.
LOOKS = {
    "burning": "bold red",
    "at risk": "yellow",
    "blind": "magenta",
    "partial": "magenta",
    "failed": "bold red",
    "suspected": "bold red",
    "declared": "bold red",
}


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text, its control characters visible."""
    click.echo(visible(text), err=err, nl=nl)


def say_over(text: str, to: TextIO) -> None:
    """Say how far something is: on a terminal in the place of what was said last, elsewhere on a line of its own."""
    terminal = to.isatty()
    click.echo(f"\r\x1b[K{visible(text)}" if terminal else visible(text), nl=not terminal, file=to)


def say_table(head: Sequence[str], rows: Sequence[Sequence[str]], to: TextIO | None = None) -> None:
    """Print rows in columns; nothing where there are none.

    On a terminal in colour (not with NO_COLOR), and where that is too narrow, each row as lines of its own. Elsewhere
    a row is one line, whatever its length, for programs that read it.
    """
    to = to or sys.stdout
    names = [visible(name) for name in head]
    cells = [[visible(cell).replace("\n", " ") or NONE for cell in row] for row in rows]
    if not cells:
        return
    if to.isatty():
        shown(names, cells, to)
    else:
        lines = columns([names, *cells])
        click.echo("\n".join(lines), file=to)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, each column as wide as its longest cell, but for those of a text."""
    widths = [max(min(len(cell), CELL_MAX) for cell in column) for column in zip(*rows, strict=True)]
    return [GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def shown(head: Sequence[str], rows: Sequence[Sequence[str]], to: TextIO) -> None:
    """The same on a terminal."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    width, height = shutil.get_terminal_size()
    console = Console(file=to, width=width, height=height, highlight=False)  # a width alone is not used where TERM=dumb
    natural = sum(max(map(cell_len, column)) for column in zip(head, *rows, strict=True)) + len(GAP) * (len(head) - 1)
    if natural > width:
        for row in rows:
            grid = Table(box=None, show_header=False, padding=(0, len(GAP), 0, 0), pad_edge=False)
            for name, cell in zip(head, row, strict=True):
                grid.add_row(Text(name, "dim"), Text(cell, LOOKS.get(cell, ""), overflow="fold"))
            console.print(grid, "")
        return
    table = Table(box=None, padding=(0, len(GAP), 0, 0), pad_edge=False)
    for name in head:
        table.add_column(Text(name, "dim"))
    for row in rows:
        table.add_row(*(Text(cell, LOOKS.get(cell, "")) for cell in row))
    console.print(table)
