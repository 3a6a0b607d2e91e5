"""The compiled part of ingest, where a compiler was there at install. The Python code beside it does the same, and
whatever the compiled part does not know: tests/ingest/test_compiled.py compares them byte for byte.
"""

from __future__ import annotations

from typing import Literal

__all__ = ("compiled", "counting")

VERSION = 6  # of what its functions take and give; one that was built from other source is left alone

try:
    from server.ingest import compiled

    if compiled.VERSION != VERSION:
        compiled = None  # type: ignore[assignment]
except ImportError:
    compiled = None  # type: ignore[assignment]


def counting() -> Literal["compiled", "python"]:
    """What counts and encodes outcomes in this process."""
    return "python" if compiled is None else "compiled"
