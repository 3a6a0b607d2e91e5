"""Secrets of targets are encrypted in the database; another SECRET_KEY is named, and what waits is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from alembic import command

from checks import secret_key
from checks.check import ROOT, Surroundings
from server.kernel import sealed
from server.notify import acknowledgement, acts, secrets
from server.notify.acts import TargetRequest
from server.process.migrate import alembic_config, head
from tests.conftest import MakeEnv
from tests.notify.making import ROUTING_KEY, SECRET, Desk, notice
from tests.notify.receiver import receiving
from tests.notify.sending import Office, office
from tests.notify.test_api import INBOUND, post
from tests.site import Site, answer
from tests.waiting import until

Web = Callable[..., Awaitable[Site]]

OTHER = "another-key-for-tests"


@pytest.mark.gen_test
async def test_the_database_holds_none_in_the_open(web: Web, database_url: str) -> None:
    site = await web()
    key = await site.key("admin")
    duty = answer(await post(site, key, "", name="duty", kind="pagerduty", secret=ROUTING_KEY))
    assert (await post(site, key, f"/{duty['id']}/inbound-secret", inbound_secret=INBOUND)).code == 200
    hook = answer(await post(site, key, "", name="ops", kind="webhook", address="https://example.com/hook"))
    desk = Desk(database_url)
    stored = [secret for row in desk.rows("SELECT secret, inbound_secret FROM targets ORDER BY id") for secret in row]
    everything = str(desk.rows("SELECT t FROM targets t")) + str(desk.rows("SELECT a FROM audit a"))
    desk.close()
    assert [sealed.is_sealed(secret) for secret in stored] == [True, True, True, False]
    assert not any(secret in everything for secret in (ROUTING_KEY, INBOUND, hook["secret"]))


@pytest.mark.gen_test
async def test_with_another_secret_key_it_is_named_and_what_waits_is_kept(make_env: MakeEnv) -> None:
    allowed = {"NOTIFY_ALLOW_PRIVATE": "true"}
    async with receiving() as hook, office(make_env(**allowed)) as at:
        async with at.db.act() as connection:
            wanted = TargetRequest("ops", "webhook", hook.url, SECRET)
            made = await acts.add_target(connection, at.env, wanted, actor="test")
            await secrets.store.set_secrets(
                connection, made.id, {"inbound_secret": secrets.inbound_kept(at.env.secret_key, INBOUND)}
            )
        at.desk.do("INSERT INTO users (email, password, role, totp_secret) VALUES ('mira@e.com', '', 'viewer', %s)",
                   sealed.seal(at.env.secret_key, "codes of people", "A" * 32))  # fmt: skip
        assert await secret_key.run(Surroundings(ROOT, at.env, at.db)) == []
        other = Office(make_env(**allowed, SECRET_KEY=OTHER), at.db, at.bus, at.desk)
        found = await secret_key.run(Surroundings(ROOT, other.env, at.db))
        assert [(finding.level, finding.where) for finding in found] == [
            ("fail", "target ops"), ("fail", "target ops"), ("fail", "")
        ]  # fmt: skip
        assert found[2].what.endswith("mira@e.com.")
        with pytest.raises(acknowledgement.ApiError, match="cannot be opened") as refused:
            await acknowledgement.verify(at.db, OTHER, made.id, "v1=0", b"{}")
        assert refused.value.status == 503
        tested = await acts.send_test(other.env, at.db, made.id, actor="test")
        assert tested.message == f"ops: not sent: {secrets.LOST}"
        await at.tell(notice(at.desk.alert()))
        async with other.sending():
            await until(lambda: at.desk.rows("SELECT 1 FROM notifications WHERE attempts > 0"), "the try")
            await until(lambda: at.desk.rows("SELECT 1 FROM notifications WHERE last_error = %s AND event <> 'test'",
                                             secrets.LOST), "the reason")  # fmt: skip
        assert (at.left(), hook.came) == (1, [])
        await at.due()
        async with at.sending():
            await until(lambda: at.left() == 0, "it to be sent with the key of before")


@pytest.mark.gen_test
async def test_those_of_before_are_sealed_once_one_version_runs_and_opened_on_the_way_back(
    make_env: MakeEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(make_env()) as at:
        key, raw = at.env.secret_key, "SELECT secret, inbound_secret FROM targets"
        at.desk.target("duty", "pagerduty", "https://e", ROUTING_KEY)
        at.desk.do("UPDATE targets SET inbound_secret = %s", INBOUND)
        at.desk.do("INSERT INTO processes (kind, name, host, pid, version) VALUES ('watch', 'w', 'box', 1, '0.0.1')")
        await secrets.seal_plain(at.db, key)
        assert at.desk.rows(raw) == [(ROUTING_KEY, INBOUND)], "an older release reads them still"
        at.desk.do("UPDATE processes SET stopped_at = now()")
        await secrets.seal_plain(at.db, key)
        ((out, back),) = at.desk.rows(raw)
        assert (sealed.opened(key, secrets.OUT, out), sealed.opened(key, secrets.IN, back)) == (ROUTING_KEY, INBOUND)
        await secrets.seal_plain(at.db, key)
        assert at.desk.rows(raw) == [(out, back)], "once"
        for name in ("DATABASE_URL", "SECRET_KEY"):
            monkeypatch.setenv(name, at.env.raw[name])
        config = alembic_config(at.env.database_url)
        await asyncio.to_thread(command.downgrade, config, "0010")
        assert at.desk.rows(raw) == [(ROUTING_KEY, INBOUND)]
        await secrets.seal_plain(at.db, key)
        assert at.desk.rows(raw) == [(ROUTING_KEY, INBOUND)], "the way back is not undone"
        await asyncio.to_thread(command.upgrade, config, head())
