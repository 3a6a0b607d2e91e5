"""`make bench`, or `python -m benchmarks NAME…`: each module's `run()` gives figures; exit 1 where one misses.

What was measured goes as JSON to `.evenkeel/bench.json` and, with `--write`, to docs/performance.json and
docs/performance.md. `suspects --data DIR` judges the suspects on labelled incidents.
"""

from __future__ import annotations

import importlib
import sys
import time

import click

from benchmarks import record
from benchmarks.busy import watched
from benchmarks.figure import Figure
from benchmarks.record import Run
from benchmarks.stand import ROOT

TABLE = ("ingest", "rows", "history", "idle", "memory", "peers", "otlp", "access_log")  # what docs/performance.md has
OTHERS = ("rollback", "freshness", "start", "objectives", "room", "series", "surge", "suspects")
BY_HAND = ("detection", "growth", "outage")  # longer than `make bench` may take


@click.command(help=__doc__)
@click.argument("names", nargs=-1, type=click.Choice([*TABLE, *OTHERS, *BY_HAND]))
@click.option("--data", help="Labelled incidents, for suspects.")
@click.option("--write", is_flag=True, help="Keep what was measured in docs/performance.md.")
def main(names: tuple[str, ...], data: str | None, write: bool) -> None:
    """Run the modules of these names, all but those by hand where none is given."""
    found = [measure(name, *([data] if data else [])) for name in names or TABLE + OTHERS]
    record.save(ROOT / ".evenkeel" / "bench.json", found)
    if write:
        record.write(ROOT / "docs", [run for run in found if run.name in TABLE + BY_HAND])
    sys.exit(any(not figure.holds for run in found for figure in run.figures))


def measure(name: str, *arguments: str) -> Run:
    """One module's figures, printed as they come."""
    print(f"== {name}", flush=True)
    with watched() as busy:
        figures: list[Figure] = importlib.import_module(f"benchmarks.{name}").run(*arguments)
        for figure in figures:
            print(figure.line(), flush=True)
        run = Run(name, time.strftime("%Y-%m-%d %H:%M", time.gmtime()), busy(), figures)
    print(f"   {run.busy.line()}", flush=True)
    return run


if __name__ == "__main__":
    main()
