"""What a Markdown file says in headings, tables, code and links. Just enough for our own docs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HEADING = re.compile(r"^#+ +(.+?)\s*$")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^\s*(```|~~~)")


class MarkdownLine(NamedTuple):
    """One line: its place, whether it stands in a code block, and its text."""

    number: int
    code: bool
    text: str


class MarkdownDocument(NamedTuple):
    """One file; `name` is its path from the root."""

    name: str
    lines: list[MarkdownLine]

    def place(self, line: MarkdownLine) -> str:
        return f"{self.name}:{line.number}"

    def headings(self) -> Iterator[tuple[MarkdownLine, str]]:
        """Every heading, without its marks."""
        for line in self.lines:
            match = None if line.code else HEADING.match(line.text)
            if match:
                yield line, match[1]

    def rows(self) -> Iterator[tuple[MarkdownLine, list[str]]]:
        """Every table row whose first cell is code: its cells."""
        for line in self.lines:
            if not line.code and line.text.startswith("| `"):
                cells = re.split(r"(?<!\\)\|", line.text.strip().strip("|"))
                yield line, [cell.strip().replace("\\|", "|") for cell in cells]

    def spans(self) -> Iterator[tuple[MarkdownLine, str]]:
        """Every piece of code: inline, and whole lines of code blocks."""
        for line in self.lines:
            for text in [line.text] if line.code else CODE.findall(line.text):
                yield line, text

    def links(self) -> Iterator[tuple[MarkdownLine, str]]:
        for line in self.lines:
            if not line.code:
                for target in LINK.findall(line.text):
                    yield line, target

    def anchors(self) -> set[str]:
        """The anchors that GitHub gives the headings."""
        return {anchor(text) for _, text in self.headings()}


def anchor(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
    return kept.strip().replace(" ", "-")


def read(path: Path, root: Path) -> MarkdownDocument:
    """A file of the tree."""
    lines, code = [], False
    for number, text in enumerate(path.read_text().splitlines(), 1):
        fence = bool(FENCE.match(text))
        lines.append(MarkdownLine(number, code and not fence, text))
        code ^= fence
    return MarkdownDocument(path.relative_to(root).as_posix(), lines)


def plain(cell: str) -> str:
    """A cell without its code marks."""
    return cell.strip().strip("`").strip()
