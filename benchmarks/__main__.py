"""`make bench`, or `python -m benchmarks NAME…`: each module's `run()` gives figures; exit 1 where one misses."""

from __future__ import annotations

import importlib
import sys

from benchmarks.figure import Figure

ALL = ("ingest", "rollback", "freshness", "memory", "start", "detection", "objectives")


def main(names: list[str]) -> int:
    missed = 0
    for name in names or list(ALL):
        print(f"== {name}", flush=True)
        figures: list[Figure] = importlib.import_module(f"benchmarks.{name}").run()
        for figure in figures:
            print(figure.line(), flush=True)
            missed += not figure.holds
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
