"""Run checks/runtime_health.py: `python scripts/check_runtime_health.py --base-url URL` from the root."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if __name__ == "__main__":
    from checks.__main__ import start

    start("runtime_health")
