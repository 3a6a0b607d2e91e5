"""A batch on disk gives the outcomes that were admitted, whenever it is read."""

from __future__ import annotations

import json

import pytest

from server.ingest.decode import Form, decode, nothing
from server.ingest.outcome import span
from server.ingest.sent import SentBatch, packed, unpacked, without
from tests.ingest.making import outcome

NOW = 1_795_000_000.0
SENT = [
    outcome(),
    outcome(timestamp=(NOW + 30) * 1000, request_id="mine"),
    outcome(timestamp="2026-11-17T10:00:00+02:00"),
    outcome(service=7),
    outcome(status=500, error_class="K\u0000"),
]


@pytest.mark.parametrize("form", ["array", "lines"])
def test_it_is_decoded_again_as_it_was(form: Form) -> None:
    body = json.dumps(SENT).encode() if form == "array" else b"\n".join(json.dumps(one).encode() for one in SENT)
    taken = span(NOW, 7)
    first = decode(body, form, taken, 10, nothing)
    first.shift(-30_000_000)
    assert [fault.index for fault in first.faults] == [3, 4]
    kept = SentBatch(
        without(body, form, {3, 4}),
        "array",
        taken.now,
        30_000_000,
        5,
        True,
        True,
        b"r" * 10,
        3,
        b"{}",
        b"d" * 16,
        b"",
        False,
    )
    again = unpacked(packed(kept))
    assert again == kept
    found = again.decoded()
    assert (found.outcomes, found.times, found.faults) == (first.outcomes, first.times, [])


def test_what_another_version_wrote_is_told() -> None:
    with pytest.raises(ValueError, match="another version"):
        unpacked(b"\x02" + b"x")
    with pytest.raises(ValueError, match="Expected `array`"):
        unpacked(b"\x01" + b"\x90")
