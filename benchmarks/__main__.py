"""`make bench`, or `python -m benchmarks NAME…`: each module's `run()` gives figures; exit 1 where one misses.

`python -m benchmarks suspects --data DIR` judges the suspects on labelled incidents (benchmarks/suspects.py).
"""

from __future__ import annotations

import importlib
import sys

from benchmarks.figure import Figure

ALL = ("ingest", "rollback", "freshness", "memory", "start", "detection", "objectives", "room", "series", "suspects")


def main(names: list[str]) -> int:
    missed = 0
    names, arguments = (names[:1], names[2:3]) if names[1:2] == ["--data"] else (names, [])
    for name in names or list(ALL):
        print(f"== {name}", flush=True)
        figures: list[Figure] = importlib.import_module(f"benchmarks.{name}").run(*arguments)
        for figure in figures:
            print(figure.line(), flush=True)
            missed += not figure.holds
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
