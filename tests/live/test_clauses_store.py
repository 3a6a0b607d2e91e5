"""SQL on packed pairs equals the Python on maps, and what is new is found by key."""

from __future__ import annotations

from collections import Counter

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.live.clauses_store import FLUSHES, UNFOLDED, merged
from server.live.pairs import COUNT_MASK, add, pack
from tests.examples import examples

# A count has 32 bits: the sums of five stay below.
maps = st.dictionaries(st.integers(0, 2**31 - 1), st.integers(1, 2**29), max_size=6)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(maps, max_size=5))
def test_merging_in_sql_adds_by_key(database_url: str, counted: list[dict[int, int]]) -> None:
    total: Counter[int] = Counter()
    for each in counted:
        total.update(each)
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TEMP TABLE given (id int, sketch bigint[]) ON COMMIT DROP")
        for each in counted:
            connection.execute("INSERT INTO given VALUES (1, %s)", (pack(each),))
        row = connection.execute(merged("given", "sketch", "id").encode()).fetchone()
        folded: list[int] = []
        for each in counted:
            found = connection.execute("SELECT pairs_add(%s::bigint[], %s::bigint[])", (folded, pack(each))).fetchone()
            assert found is not None
            folded = found[0]
    assert (row[1] if row else []) == folded == pack(total)


@given(maps)
def test_packing_is_sorted_and_comes_back(counted: dict[int, int]) -> None:
    packed, back = pack(counted), dict[int, int]()
    add(back, packed)
    assert back == counted
    assert packed == sorted(packed)
    assert all(pair & COUNT_MASK > 0 for pair in packed)


@pytest.mark.parametrize("source", [FLUSHES, UNFOLDED])
def test_what_is_new_is_found_by_key_among_all_that_is_kept(database_url: str, source: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO writers (id, process_id, folded_seq) VALUES (1, 0, 9990)")
        connection.execute(
            """
            INSERT INTO deltas (writer_id, seq, series_id, second, n, bad, duration_us, fast, sketch)
            SELECT 1, seq, series, now(), 1, 0, 1, '{}', '{}'
            FROM generate_series(1, 10000) seq, generate_series(1, 3) series
            """
        )
        connection.execute("ANALYZE deltas")
        query = source
        for name, value in {"ids": "{1}", "after": "{9990}", "upto": "{10000}"}.items():
            query = query.replace(f":{name}", f"'{value}'")
        plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN SELECT * FROM {query}".encode()))
    assert "Seq Scan on deltas" not in plan
    assert "deltas_pkey" in plan
