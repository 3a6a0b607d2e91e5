"""`python -m tests.journey.pretended`: the whole service by a clock that a test sets.

The same code runs as ever; only the clock is another. All that Evenkeel dates, judges and waits for goes by
`shared_clock` and by the times in the outcomes, so ten seconds that a test sends and sets are ten seconds to it,
however soon they are over. What goes by the machine's own clock still does, the age of a session and the polls of
the fold among them: a test waits for these.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from types import SimpleNamespace

from server.ingest import throttle
from server.kernel import shared_clock
from server.picture import tick

CLOCK = "PRETENDED_CLOCK"  # the file with the Unix seconds


def pretend() -> None:
    """Every process of the service takes the time from the file; the database's clock is not asked."""
    with Path(os.environ[CLOCK]).open("r+b") as file:
        kept = mmap.mmap(file.fileno(), 8)

    def machine() -> float:
        return float(struct.unpack("d", kept[:8])[0])

    shared_clock.machine = machine
    shared_clock.Offset.measure = lambda *_: None  # type: ignore[method-assign, assignment]
    throttle.time = SimpleNamespace(monotonic=machine)  # type: ignore[assignment]
    tick.EVERY_S, tick.PHASE = 0.1, None  # type: ignore[assignment]


if __name__ == "__main__":
    pretend()
    from server.__main__ import main

    main()
