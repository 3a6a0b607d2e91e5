"""What limits refuse, in sentences: items where they are known, else requests, and who is hit most."""

from __future__ import annotations

import pytest

from dashboard.refusals import refused, sentence
from server.ingest.preview import Preview, Refused

NAMES = {1: "ci-loadgen", 2: "shop"}.__getitem__


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (Preview(0, 0, 0, 0, None, 0.0), "Nothing came in the last 5 min, so it would have refused nothing."),
        (Preview(7, 70, 0, 0, None, 0.0), "In the last 5 min this would have refused none of 7 requests."),
        (
            Preview(400, 120_000, 90, 49_200, 1, 0.92),
            "In the last 5 min this would have refused 41 % of items, 92 % from ci-loadgen.",
        ),
        (Preview(2, 10, 1, 9, 2, 1.0), "In the last 5 min this would have refused 9 of 10 items, all from shop."),
        # Bodies that were refused before anything was read have no items that are known.
        (Preview(20, 0, 3, 0, None, 0.0), "In the last 5 min this would have refused 3 of 20 requests."),
    ],
)
def test_a_preview_in_a_sentence(found: Preview, told: str) -> None:
    assert sentence(found, NAMES) == told


def test_an_effect_names_the_key_that_is_hit_most_by_requests() -> None:
    rows = [Refused("BATCH_TOO_LARGE", 1, 24, 90_000), Refused("BATCH_TOO_LARGE", 2, 1180, 900)]
    assert refused(rows, NAMES) == "1,204 requests refused in 5 min, 98 % from shop"
    assert refused(rows[:1], NAMES) == "24 requests refused in 5 min, all from ci-loadgen"
