"""The shipped policy with something wrong in it, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from server.slo.model.objective import PolicyError, Problem
from server.slo.policy.policy import parse


def problems(source: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        parse(source)
    return str(caught.value).splitlines()


def found_problems(source: str) -> list[Problem]:
    """What parse finds; any other exception than PolicyError comes through."""
    try:
        parse(source)
    except PolicyError as error:
        return error.problems
    return []


SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(), st.text(max_size=5), st.just("1e999999999")
)


VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))


def spoil(data: st.DataObject, document: Any) -> None:
    """Put any value anywhere into a document."""
    at = document
    while True:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        deeper = at[key]
        if not (isinstance(deeper, dict | list) and deeper and data.draw(st.booleans())):
            break
        at = deeper
    at[key] = data.draw(VALUES)
