import psycopg
import pytest

from server.kernel.db import Database
from server.live import pairs


def test_pairs_add_in_sql_is_the_sum_of_both_maps(database_url: str) -> None:
    a, b = {1: 2, 5: 7, 1 << 30: 1}, {0: 1, 5: 3}
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT pairs_add(%s::bigint[], %s::bigint[])", (pairs.pack(a), pairs.pack(b))
        ).fetchone()
    assert row is not None
    total: dict[int, int] = {}
    pairs.add(total, row[0])
    assert total == {0: 1, 1: 2, 5: 10, 1 << 30: 1}


def test_the_audit_table_refuses_to_be_changed(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO audit (actor, action, subject) VALUES ('a', 'b', 'c')")
        for statement in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit", "TRUNCATE audit"):
            with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
                connection.execute(statement)


@pytest.mark.gen_test
async def test_a_question_reads_one_snapshot(database_url: str) -> None:
    db = Database(database_url)
    try:
        async with db.ask() as snapshot:
            first = (await snapshot.exec_driver_sql("SELECT count(*) FROM audit")).scalar_one()
            async with db.act() as connection:
                await connection.exec_driver_sql("INSERT INTO audit (actor, action, subject) VALUES ('a', 'b', 'c')")
            assert (await snapshot.exec_driver_sql("SELECT count(*) FROM audit")).scalar_one() == first == 0
    finally:
        await db.close()
