"""What a sampled span stands for.

Consistent probability sampling (OpenTelemetry, "TraceState: Probability Sampling") writes the threshold of its decision
into the trace state, `ot=th:c`: of all traces those are kept whose 56 random bits are at least `th`, so a span stands
for 2^56 / (2^56 - th) requests. It is written on root spans alone: on a span with a parent it was copied, and is right
only if that service samples no further; where it does, most of its spans have none (findings/otel_sampling_weight.sh).
A ratio sampler writes nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from server.ingest.outcome import WEIGHT_MAX

ALL = 2**56  # random bits of a trace id
OT = re.compile(r"(?:^|,)[ \t]*ot=([^,]*)")
THRESHOLD = re.compile(r"(?:^|;)th:([0-9a-f]{1,14})(?:;|$)")


class SampledSpan(NamedTuple):
    """What of a span says how it was sampled."""

    trace_state: str
    root: bool  # it has no parent
    seed: bytes  # of its trace


class Weights(NamedTuple):
    """How many requests each span of a source stands for. `known` False: the source samples, and nothing says exactly
    how: what its spans add up to is no volume."""

    each: list[int]
    known: bool


def threshold_weight(trace_state: str) -> float | None:
    """What a trace state says that its span stands for, 1 or more; None where it says nothing that can be read."""
    ours = OT.search(trace_state)
    found = THRESHOLD.search(ours[1].strip()) if ours else None
    if found is None:
        return None
    return ALL / (ALL - int(found[1].ljust(14, "0"), 16))


def whole(weight: float, seed: bytes) -> int:
    """A weight as a whole number, of which the mean over many seeds is the weight; the same for the same seed."""
    below = int(weight)
    # Not the random bits of the trace id themselves: those of the traces that were kept lie above the threshold.
    chance = int.from_bytes(hashlib.blake2b(seed, digest_size=7).digest(), "big") / ALL
    return below + (chance < weight - below)


def weights_of(spans: Sequence[SampledSpan], one_in: float | None) -> Weights:
    """What the spans of one source stand for; `one_in`: the user has stated that one in so many requests is sent."""
    said = [threshold_weight(span.trace_state) for span in spans]
    samples = any(weight is not None and weight > 1 for weight in said)
    copied = None not in said  # by a service that samples no further
    each, known = [], True
    for span, weight in zip(spans, said, strict=True):
        exact = weight if span.root or copied else None
        if exact is None:
            exact = one_in
        if exact is None:
            known = known and not samples
            exact = 1.0  # the same for all, so that shares are right
        if exact > WEIGHT_MAX:
            known, exact = False, float(WEIGHT_MAX)
        each.append(whole(exact, span.seed))
    return Weights(each, known)
