"""Settings and the gate: what loosens asks it; what tightens, goes back or ends never does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.config import service
from server.config.differences import at, loosened
from server.config.expiry import expire_due
from server.config.registry import Value
from server.config.revisions import Entry, changed, resolve
from server.kernel.errors import ApiError
from tests.config.machine import MIRA, member, pretend_time_is_over
from tests.conftest import MakeEnv

BATCH, RATE, STORE = "INGEST_MAX_BATCH_ITEMS", "INGEST_MAX_ITEMS_PER_SECOND", "INGEST_STORE_OUTCOMES"
NOW = 1000.0

CASES: list[tuple[list[Entry], dict[str, Value | None], str, float | None, list[str]]] = [
    # before, new values, scope, until, what is loosened
    ([], {BATCH: 100}, "all", None, []),
    ([], {BATCH: 1001}, "all", None, [BATCH]),
    ([], {BATCH: 1001}, "all", NOW + 60, [BATCH]),
    ([], {RATE: 50}, "all", None, []),
    ([Entry(RATE, 50)], {RATE: 0}, "all", None, [RATE]),
    ([], {STORE: False}, "all", None, []),
    ([Entry(STORE, False)], {STORE: True}, "all", None, [STORE]),
    ([Entry(BATCH, 100)], {BATCH: None}, "all", None, [BATCH]),
    ([Entry(BATCH, 5000)], {BATCH: None}, "all", None, []),
    # a temporary value: shorter where it is loose, longer where it is tight
    ([Entry(BATCH, 100, until=NOW + 60)], {BATCH: 100}, "all", NOW + 600, []),
    ([Entry(BATCH, 100, until=NOW + 600)], {BATCH: 100}, "all", NOW + 60, [BATCH]),
    ([Entry(BATCH, 5000, until=NOW + 600)], {BATCH: 5000}, "all", NOW + 60, []),
    ([Entry(BATCH, 5000, until=NOW + 60)], {BATCH: 5000}, "all", NOW + 600, [BATCH]),
    ([Entry(BATCH, 5000, until=NOW + 60)], {BATCH: 2000}, "all", NOW + 600, [BATCH]),
    ([Entry(BATCH, 100, until=NOW + 60)], {BATCH: 500}, "all", None, [BATCH]),
    # one key
    ([], {RATE: 50}, "key:3", None, []),
    ([Entry(RATE, 50)], {RATE: 60}, "key:3", None, [RATE]),
    ([Entry(RATE, 50)], {BATCH: 10, RATE: 60}, "all", None, [RATE]),
]


@pytest.mark.parametrize(("before", "values", "scope", "until", "loose"), CASES)
def test_what_loosens(before: Any, values: Any, scope: str, until: float | None, loose: list[str]) -> None:
    assert loosened(tuple(before), changed(tuple(before), values, scope, until), {}, NOW) == loose


entries = st.lists(
    st.builds(
        Entry,
        st.just(BATCH),
        st.sampled_from([1, 10, 1000, 5000]),
        st.sampled_from(["all", "key:3"]),
        st.none() | st.sampled_from([NOW + 10, NOW + 20, NOW + 30]),
    ),
    max_size=4,
    unique_by=lambda entry: (entry.scope, entry.until is None),
).map(tuple)


@given(entries, entries)
def test_what_does_not_loosen_is_never_above_what_was_at_any_moment(before: Any, after: Any) -> None:
    """Against every second one by one."""
    higher = any(
        at(resolve(after, {}, BATCH, scope), moment) > at(resolve(before, {}, BATCH, scope), moment)
        for scope in ({entry.scope for entry in set(before) ^ set(after)})
        for moment in range(int(NOW), int(NOW) + 40)
    )
    assert bool(loosened(before, after, {}, NOW)) == higher


@pytest.mark.gen_test
async def test_a_denied_revision_saves_nothing_and_what_is_never_gated_passes(make_env: MakeEnv) -> None:
    async with member(make_env(INGEST_MAX_ITEMS_PER_SECOND="100")) as one:
        await one.change(1, {RATE: 5000}, minutes=30)
        one.denied.append("Denied: -12 % of the budget of evenkeel-works is left.")
        with pytest.raises(ApiError) as error:
            await one.change(2, {BATCH: 6000, RATE: 6000})
        assert (error.value.code, error.value.status) == ("GATE_DENIED", 409)
        assert error.value.detail.startswith(
            "Denied: -12 % of the budget of evenkeel-works is left. This would let in more load"
        )
        assert error.value.extra["holds"] == ["items per second 5000 -> 6000"], "the size of a batch is no load"
        assert error.value.extra["override"]["body"] == {  # as it stands, with a reason
            "service": "evenkeel",
            "kind": "revision",
            "reason": "",
            "minutes": 15,
        }
        until = (await one.rows("SELECT values->0->>'until' FROM revisions WHERE number = 2"))[0][0]

        async def extend(until: float) -> Any:
            return await service.extend(
                one,
                MIRA,
                setting=RATE,
                scope="all",
                until=until,
                minutes=30,
                request_id="",  # type: ignore[arg-type]
            )

        with pytest.raises(ApiError, match="Nothing was saved"):
            await extend(float(until))
        assert await one.rows(
            "SELECT max(number), (SELECT count(*) FROM changes WHERE kind = 'revision') FROM revisions"
        ) == [(2, 1)]
        assert (await one.rollback(2, 1)).revision == 3
        tight = await one.change(3, {RATE: 50}, minutes=30)
        assert tight.revision == 4
        assert tight.differences[0].after_until is not None
        assert (await extend(tight.differences[0].after_until.timestamp())).revision == 5
        await pretend_time_is_over(one)
        assert await expire_due(one.db, one.bus, one.settings.environment) == 6, "an end is not gated"
        assert (await one.rollback(6, 1)).already, "the same values: 100 for all"


@pytest.mark.gen_test
async def test_the_remedy_of_an_overload_is_never_locked(make_env: MakeEnv) -> None:
    async with member(make_env()) as one:
        one.denied.append("Denied: 0 % of the budget of evenkeel-latency is left.")
        assert (await one.change(1, {BATCH: 20_000})).revision == 2
        assert (await one.change(2, {"MAX_REQUEST_BODY_BYTES": 2**24}, minutes=30)).revision == 3
        with pytest.raises(ApiError, match="store outcomes"):
            await one.change((await one.change(3, {STORE: False})).revision, {STORE: True})
