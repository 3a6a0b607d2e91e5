"""How long the questions of the pages and the API take: `python scripts/benchmark_queries.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if __name__ == "__main__":
    from benchmarks.queries import start

    start()
