"""Run checks/docs_routes.py: `python scripts/check_docs_routes.py` from the root."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if __name__ == "__main__":
    from checks.__main__ import start

    start("docs_routes")
