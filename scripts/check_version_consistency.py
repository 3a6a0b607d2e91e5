"""Run checks/version_consistency.py: `python scripts/check_version_consistency.py` from the root."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if __name__ == "__main__":
    from checks.__main__ import start

    start("version_consistency")
