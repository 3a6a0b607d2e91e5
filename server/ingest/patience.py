"""When the database is slow: the one rule by which what was sent goes to the spool instead of waiting for it.

A sender is answered within 2 s. So long may numbering, the wait for a flush, and the flush last, in seconds of a
LoopClock: what we, or our machine, held up ourselves is not the database's.
"""

from __future__ import annotations

from typing import Literal

Wait = Literal["numbering", "queue", "flush"]

PATIENCE_S: dict[Wait, float] = {"numbering": 0.6, "queue": 0.6, "flush": 0.8}


def slow(what: Wait, waited_s: float) -> bool:
    """Whether a wait for the database that has lasted so long says that it is slow."""
    return waited_s > PATIENCE_S[what]
