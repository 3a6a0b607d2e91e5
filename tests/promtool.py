"""promtool, which says whether Prometheus takes what we give it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def promtool(*arguments: str, given: bytes = b"", cwd: Path | None = None) -> str:
    """What promtool says of something that it must find clean."""
    found = shutil.which("promtool")
    if found is None and not os.environ.get("CI"):
        pytest.skip("promtool is not installed; Debian's package prometheus has it")
    assert found, "promtool is missing; .ci/run installs it"
    done = subprocess.run([found, *arguments], input=given, capture_output=True, cwd=cwd, timeout=60, check=False)
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, output
    return output
