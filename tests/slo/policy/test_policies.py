"""Policy revisions: one file makes one revision, and every process follows the newest."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest

from server.kernel.errors import ConfigurationError
from server.slo.policy.file import PolicyFile
from tests.slo.ledgers import process
from tests.slo.making import SHOP, availability, file, latency, service
from tests.waiting import until

ONE = service("shop") + availability("one", "shop")


def stored(url: str) -> list[tuple[int, int]]:
    """Number and length of each revision."""
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT number, length(source) FROM policy_revisions ORDER BY number").fetchall()


@pytest.mark.gen_test
async def test_starts_at_once_make_one_revision_and_one_ledger_each(database_url: str, tmp_path: Path) -> None:
    path = file(tmp_path, SHOP)
    async with asyncio.timeout(20):
        async with (
            process(database_url, path) as a,
            process(database_url, path) as b,
            process(database_url, path) as c,
            process(database_url, path) as d,
        ):
            await asyncio.gather(*(each.start() for each in (a, b, c, d)))
            assert [each.number for each in (a, b, c, d)] == [1, 1, 1, 1]
            assert a.objectives == b.objectives == c.objectives == d.objectives
            assert all(objective.id for objective in a.objectives)
    assert stored(database_url) == [(1, len(SHOP))]


@pytest.mark.gen_test
async def test_a_new_file_reaches_the_running_processes_by_the_bus(database_url: str, tmp_path: Path) -> None:
    async with process(database_url, file(tmp_path, ONE)) as old:
        await old.start()
        assert old.thresholds_us("shop") == ()
        works = old.objective("one")
        async with process(database_url, file(tmp_path, ONE + latency("two", "shop"), "new.yaml")) as new:
            await new.start()
            await until(lambda: old.number == 2, "revision 2")
            assert old.thresholds_us("shop") == (300_000,)
            assert old.objective("one") == works  # the same ledger
            # The old one starts anew, with its own file: that was superseded, and does not come back.
            async with process(database_url, file(tmp_path, ONE)) as again:
                await again.start()
                assert again.number == 2
                assert again.thresholds_us("shop") == (300_000,)
                # Somebody who asks for it decides.
                again.take_file()
                await until(lambda: old.number == new.number == 3, "revision 3")
                assert new.thresholds_us("shop") == ()


@pytest.mark.gen_test
async def test_without_a_bus_it_is_found_by_polling(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.slo.policy.policies.POLL_S", 0.05)
    async with (
        process(database_url, file(tmp_path, ONE), bus_works=False) as old,
        process(database_url, file(tmp_path, SHOP, "new.yaml"), bus_works=False) as new,
    ):
        await old.start()
        await new.start()
        await until(lambda: old.number == 2, "revision 2")
        assert old.objectives == new.objectives


@pytest.mark.gen_test
async def test_a_first_start_with_a_wrong_file_says_where(database_url: str, tmp_path: Path) -> None:
    path = file(tmp_path, ONE.replace("0.999", "1.5"))
    async with process(database_url, path) as policies:
        with pytest.raises(ConfigurationError, match=rf"{path}:\d+: SLO one: spec\.objectives\[0\]\.target: is 1\.5"):
            await policies.start()
    async with process(database_url, str(tmp_path / "none.yaml")) as policies:
        with pytest.raises(ConfigurationError, match=r"none\.yaml: No such file"):
            await policies.start()
    assert stored(database_url) == []


@pytest.mark.gen_test
async def test_a_later_start_with_a_wrong_file_keeps_the_stored_policy(database_url: str, tmp_path: Path) -> None:
    async with process(database_url, file(tmp_path, ONE)) as first:
        await first.start()
    (tmp_path / "slo.yaml").write_bytes(b"\xff\xfe not text")
    async with process(database_url, str(tmp_path / "slo.yaml")) as second:
        await second.start()
        assert second.number == 1
        assert second.objectives == first.objectives
        assert second.file.problem is not None
        assert "not UTF-8" in second.file.problem


@pytest.mark.gen_test
async def test_a_revision_of_a_newer_version_is_not_followed_and_not_fatal(database_url: str, tmp_path: Path) -> None:
    async with process(database_url, file(tmp_path, ONE)) as old:
        await old.start()
        with psycopg.connect(database_url) as connection:
            connection.execute("INSERT INTO policy_revisions VALUES (2, 'apiVersion: openslo/v9', 'x', 'elsewhere')")
        async with old.db.act() as connection_:
            await old.follow(connection_)
        assert old.number == 1
        assert old.objective("one") is not None


@pytest.mark.gen_test
async def test_an_old_version_does_not_put_its_file_over_what_it_cannot_read(database_url: str, tmp_path: Path) -> None:
    async with process(database_url, file(tmp_path, ONE)) as old:
        await old.start()
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO policy_revisions VALUES (2, 'apiVersion: openslo/v9', 'x', 'elsewhere')")
    async with process(database_url, file(tmp_path, SHOP, "mine.yaml")) as again:
        await again.start()
        assert again.number == 1  # the newest that it can read
        assert again.thresholds_us("shop") == ()
    assert [number for number, _ in stored(database_url)] == [1, 2]


@pytest.mark.gen_test
async def test_a_changed_file_is_taken_in_while_it_runs(database_url: str, tmp_path: Path) -> None:
    path = Path(file(tmp_path, ONE))
    async with process(database_url, str(path)) as policies:
        await policies.start()
        path.write_text(ONE.replace("0.999", "1.5"))
        await until(lambda: policies.file.problem, "the fault to be seen")
        assert policies.number == 1
        path.write_text(SHOP)
        await until(lambda: policies.number == 2, "revision 2")
        assert policies.file.problem is None
        path.write_text(ONE)  # as it was: a change of the file asks for it
        await until(lambda: policies.number == 3, "revision 3")
        assert policies.thresholds_us("shop") == ()


def test_a_file_is_read_when_it_stands_still(tmp_path: Path) -> None:
    path = Path(file(tmp_path, ONE))
    looked = PolicyFile(path)
    assert looked.read() == ONE
    assert not looked.changed()
    path.write_text(ONE[:100])
    assert not looked.changed()
    path.write_text(SHOP)
    assert not looked.changed()  # it is still being written
    assert looked.changed()
    assert looked.read() == SHOP
    path.unlink()
    assert [looked.changed(), looked.changed()] == [False, False]  # between two files
