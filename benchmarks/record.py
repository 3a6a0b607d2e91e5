"""What was measured, as JSON and as docs/performance.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.busy import Busy
from benchmarks.figure import AIMS, Aim, Figure


class Run(NamedTuple):
    """One run of one module; `at` in UTC."""

    name: str
    at: str
    busy: Busy
    figures: list[Figure]
    machine: str = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def save(path: Path, runs: Iterable[Run]) -> None:
    """Write runs as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(list(runs)), indent=1) + b"\n")


def load(path: Path) -> list[Run]:
    """The runs that were saved; none where nothing was."""
    return msgspec.json.decode(path.read_bytes(), type=list[Run]) if path.exists() else []


def write(docs: Path, runs: list[Run]) -> None:
    """Keep these runs in the documents, in place of the last of the same modules."""
    kept = {run.name: run for run in [*load(docs / "performance.json"), *runs]}
    save(docs / "performance.json", kept.values())
    (docs / "performance.md").write_text(page(list(kept.values())))


def page(runs: list[Run]) -> str:
    """The document: the table of aims, how busy the machine was, and what else was measured."""
    figures = {figure.name: figure for run in runs for figure in run.figures}
    others = [figure for name, figure in figures.items() if name not in AIMS]
    return "\n".join(
        [
            "# Performance",
            "",
            "The last run of `make bench`, made by `python -m benchmarks --write`. Ratios are medians of rounds that "
            "take turns, with least and most; CPU is by the scheduler's accounting. Half of the requests bring "
            "random request ids of their clients.",
            "",
            "| figure | measured | against | ratio (rounds) | aim | |",
            "| --- | ---: | ---: | ---: | --- | --- |",
            *(aim_row(name, aim, figures.get(name)) for name, aim in AIMS.items()),
            "",
            "## How busy the machine was",
            "",
            "| bench | when (UTC) | machine | seconds | load before, after | steal | others' CPU |",
            "| --- | --- | --- | ---: | --- | ---: | ---: |",
            *(busy_row(run) for run in runs),
            "",
            "## Also measured",
            "",
            "| figure | measured | against | ratio (rounds) | |",
            "| --- | ---: | ---: | ---: | --- |",
            *("| " + " | ".join([figure.name, *cells(figure), figure.note]) + " |" for figure in others),
            "",
        ]
    )


def aim_row(name: str, aim: Aim, figure: Figure | None) -> str:
    held = f"{aim.bound} {aim.limit:g}" + (f" x {aim.peer}" if aim.peer else "")
    if figure is None:
        how = f"not measured: `python -m benchmarks {aim.module}`" if aim.module else "no bench yet"
        return f"| {name} | | | | {held} | {how} |"
    said = ", ".join(each for each in (figure.verdict, figure.note) if each)
    return "| " + " | ".join([name, *cells(figure), held, said]) + " |"


def cells(figure: Figure) -> list[str]:
    """The value, the peer's, the ratio with its spread."""
    against = "" if figure.against is None else number(figure.against, figure.unit)
    spread = f" ({figure.spread})" if figure.spread else ""
    ratio = "" if figure.ratio is None else f"{figure.ratio:.3g}"
    return [number(figure.value, figure.unit), against, f"{ratio}{spread}".strip()]


def number(value: float, unit: str) -> str:
    return (f"{value:,.0f}" if value >= 1000 else f"{value:.3g}") + (f" {unit}" if unit else "")


def busy_row(run: Run) -> str:
    busy = run.busy
    load = f"{busy.load_before:.1f}, {busy.load_after:.1f}"
    shares = f"{busy.steal:.0%} | {busy.others:.0%}"
    return f"| {run.name} | {run.at} | {run.machine} | {busy.seconds:.0f} | {load} | {shares} |"
