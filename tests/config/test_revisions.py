"""The pure rules, held against a plain model of what a setting's value should be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.config.differences import Lens, differences
from server.config.registry import SETTINGS
from server.config.revisions import (
    ALL,
    Entries,
    Entry,
    Revision,
    changed,
    done_before,
    ends_soon,
    key_id_of,
    limits,
    ordered,
    resolve,
    restored,
    temporary,
    unexpired,
)
from server.kernel.errors import ApiError

BATCH, RATE, STORE = "INGEST_MAX_BATCH_ITEMS", "INGEST_MAX_ITEMS_PER_SECOND", "INGEST_STORE_OUTCOMES"

names = st.sampled_from([BATCH, RATE, "MAX_REQUEST_BODY_BYTES"])
scopes = st.sampled_from([ALL, "key:1", "key:2"])
values = st.integers(2000, 9000)
untils = st.none() | st.integers(1, 100).map(float)
steps = st.lists(st.tuples(names, scopes, st.none() | values, untils), max_size=12)
environments = st.dictionaries(names, values, max_size=3)


def built(steps: list[tuple[str, str, int | None, float | None]]) -> Entries:
    entries: Entries = ()
    for name, scope, value, until in steps:
        entries = changed(entries, {name: value}, scope, until if value is not None else None)
    return entries


@given(steps, environments, names, scopes)
def test_the_value_in_force_is_the_last_one_that_was_set_and_has_not_been_taken_away(
    done: list[tuple[str, str, int | None, float | None]], environment: dict[str, int], name: str, scope: str
) -> None:
    kept: dict[tuple[str, str], int] = {}
    over: dict[tuple[str, str], int] = {}
    for n, s, value, until in done:
        if value is None or until is None:
            over.pop((n, s), None)
        if value is None:
            kept.pop((n, s), None)
        elif until is None:
            kept[n, s] = value
        else:
            over[n, s] = value
    beneath = [kept.get((name, ALL)), environment.get(name), SETTINGS[name].default]
    chain = [over.get((name, scope)), kept.get((name, scope)), over.get((name, ALL)), *beneath]
    expected = next(value for value in chain if value is not None)
    assert resolve(built(done), environment, name, scope).value == expected


@given(steps, environments, st.floats(0, 101))
def test_what_ends_uncovers_the_standing_value_and_touches_nothing_else(
    done: list[tuple[str, str, int | None, float | None]], environment: dict[str, int], now: float
) -> None:
    before = built(done)
    after = unexpired(before, now)
    for name in SETTINGS:
        for scope in (ALL, "key:1", "key:2"):
            a, b = resolve(before, environment, name, scope), resolve(after, environment, name, scope)
            if a.until is None or a.until > now:
                assert b.value == a.value
            elif scope == ALL:
                assert (b.value, b.source, b.until) == (a.standing, a.standing_source, None)


@given(steps, steps, environments)
def test_no_differences_means_that_every_limit_is_the_same(
    one: list[tuple[str, str, int | None, float | None]],
    other: list[tuple[str, str, int | None, float | None]],
    environment: dict[str, int],
) -> None:
    a, b = built(one), built(other)
    lens = Lens(environment, {}, 0)
    found = differences(a, b, lens)
    if not found:
        for scope in (ALL, "key:1", "key:2"):
            assert limits(a, environment, scope) == limits(b, environment, scope)
    for one_difference in found:
        resolved = resolve(b, environment, one_difference.setting, one_difference.scope)
        until = one_difference.after_until
        assert (one_difference.after, until and until.timestamp()) == (resolved.value, resolved.until)
    back = {(d.setting, d.scope): (d.after, d.before) for d in differences(b, a, lens)}
    assert back == {(d.setting, d.scope): (d.before, d.after) for d in found}


@given(steps)
def test_the_order_of_steps_on_different_settings_does_not_matter(
    done: list[tuple[str, str, int | None, float | None]],
) -> None:
    entries = built(done)
    assert entries == ordered(reversed(entries))
    assert len({(e.setting, e.scope, e.until is None) for e in entries}) == len(entries)


def test_a_kept_value_ends_a_temporary_one_and_a_temporary_one_lies_over_the_kept_one() -> None:
    entries = changed((), {BATCH: 500}, ALL, None)
    entries = changed(entries, {BATCH: 100}, ALL, 60.0)
    found = resolve(entries, {BATCH: 700}, BATCH)
    assert (found.value, found.until, found.standing, found.standing_source) == (100, 60.0, 500, "revision")
    assert changed(entries, {BATCH: 100}, ALL, 90.0) == (Entry(BATCH, 500), Entry(BATCH, 100, ALL, 90.0))
    assert changed(entries, {BATCH: 200}, ALL, None) == (Entry(BATCH, 200),)
    assert changed(entries, {BATCH: None}, ALL, None) == ()
    assert changed(entries, {BATCH: None}, "key:4", None) == entries


def test_a_revision_outranks_the_environment_which_outranks_the_default() -> None:
    for entries, environment, value, source in [
        ((), {}, 1000, "default"),
        ((), {BATCH: 700}, 700, "environment"),
        ((Entry(BATCH, 500),), {BATCH: 700}, 500, "revision"),
    ]:
        found = resolve(entries, environment, BATCH)
        assert (found.value, found.source) == (value, source)


def test_extending_moves_the_end_of_one_value_only() -> None:
    entries = ordered([Entry(BATCH, 100, ALL, 60.0), Entry(RATE, 5, ALL, 60.0), Entry(BATCH, 500)])
    entry = temporary(entries, BATCH, ALL)
    assert entry is not None
    assert set(changed(entries, {entry.setting: entry.value}, entry.scope, (entry.until or 0) + 30)) == {
        Entry(BATCH, 100, ALL, 90.0),
        Entry(RATE, 5, ALL, 60.0),
        Entry(BATCH, 500),
    }


def test_the_warning_comes_five_minutes_before_the_end() -> None:
    assert [ends_soon(until, 1000.0) for until in (None, 1301.0, 1300.0, 999.0)] == [False, False, True, True]


@pytest.mark.parametrize(
    "scope", ["", "key:", "key:0", "key:-1", "key:01", "key:9999999999", "key:1 ", "key:１", "KEY:1"]
)
def test_a_scope_that_is_no_scope_is_refused(scope: str) -> None:
    with pytest.raises(ApiError) as error:
        key_id_of(scope)
    assert error.value.code == "INVALID"


@given(st.integers(1, 999_999_999))
def test_a_scope_names_its_key(key_id: int) -> None:
    assert key_id_of(f"key:{key_id}") == key_id


def revision(number: int, kind: str = "change", restores: int | None = None) -> Revision:
    return Revision(number, kind, restores, "mira", "", 0.0, ())  # type: ignore[arg-type]


def test_a_rollback_goes_to_the_one_before_unless_named() -> None:
    assert restored(revision(14), None, 14) == 13
    assert restored(revision(14), 3, 14) == 3
    assert restored(revision(15, "rollback", 13), 14, 15) == 14


def test_a_rollback_of_a_rollback_says_what_to_name() -> None:
    with pytest.raises(ApiError) as error:
        restored(revision(15, "rollback", 13), None, 15)
    assert error.value.code == "ROLLBACK_AMBIGUOUS"
    assert error.value.extra == {"in_force": 15, "undo": 14, "further": 12}
    assert '"to": 14' in error.value.detail


@pytest.mark.parametrize(("number", "to"), [(1, None), (5, 0), (5, 6), (5, -1)])
def test_a_revision_that_does_not_exist_cannot_be_restored(number: int, to: int | None) -> None:
    with pytest.raises(ApiError) as error:
        restored(revision(number), to, number)
    assert error.value.code == "INVALID"


def test_only_the_very_same_rollback_counts_as_done() -> None:
    assert done_before(revision(15, "rollback", 13), 13)
    assert not done_before(revision(15, "rollback", 12), 13)
    assert not done_before(revision(15), 13)
    assert not done_before(None, 13)
