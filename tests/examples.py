"""How many examples hypothesis draws: few in the suite, all in `make soak`."""

from __future__ import annotations

from hypothesis import settings

THOROUGH = settings.get_profile("default").max_examples


def examples(most: int) -> int:
    """So many in `make soak`, and as large a part of them in the suite as its profile has of a usual test's."""
    return max(1, most * settings.default.max_examples // THOROUGH)
