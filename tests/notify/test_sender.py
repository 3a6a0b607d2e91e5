"""From an alert's notice to a real receiver: signed, in order, at least once, never doubled by us."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time

import pytest
from msgspec.structs import replace

from server.notify import outbox, outbox_store, sender
from server.notify.kinds.pagerduty import incident_key
from tests.conftest import MakeEnv
from tests.notify.making import ROUTING_KEY, SECRET, notice
from tests.notify.receiver import Came, receiving
from tests.notify.sending import office, twice
from tests.waiting import NEVER_S, PATIENCE_S, until


@pytest.mark.gen_test
async def test_a_webhook_is_signed_and_a_signal_wakes_the_sender(
    make_env: MakeEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "EVERY_S", NEVER_S)
    env = make_env(NOTIFY_ALLOW_PRIVATE="true", PUBLIC_URL="https://evenkeel.example.com")
    async with receiving() as hook, office(env) as at, at.sending():
        at.desk.target("ops", "webhook", hook.url)
        alert = at.desk.alert()
        await asyncio.sleep(0.3)  # the sender waits
        await at.tell(notice(alert))
        await until(lambda: hook.came, "the webhook")
        (came,) = hook.came
        signed = came.headers["Evenkeel-Timestamp"].encode() + b"." + came.body
        expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
        assert came.headers["Evenkeel-Signature"] == f"v1={expected}"
        assert abs(int(came.headers["Evenkeel-Timestamp"]) - time.time()) < PATIENCE_S
        body = came.json
        assert body["id"] == came.key
        assert body["text"].startswith("SEV-2 checkout: 4.1 % of requests fail (objective 0.1 %) since ")
        assert body["link"] == f"https://evenkeel.example.com/alerts/{alert.id}"
        assert body["alert"]["service"] == "checkout"
        assert SECRET not in came.body.decode()
        await until(lambda: at.left() == 0, "it to be marked")
        assert at.desk.rows("SELECT notified_at IS NOT NULL FROM alerts") == [(True,)]


@pytest.mark.gen_test
async def test_the_same_notice_twice_is_one_message(make_env: MakeEnv) -> None:
    async with receiving() as hook, office(make_env(NOTIFY_ALLOW_PRIVATE="true")) as at:
        at.desk.target("ops", "webhook", hook.url)
        alert = at.desk.alert()
        await asyncio.gather(*(at.tell(notice(alert)) for _ in range(5)))
        assert at.left() == 1
        # Without the commit there is nothing to send: what was to be told did not come true.
        async with at.db.control.connect() as connection:
            await outbox.enqueue(connection, [notice(replace(alert, fired_times=2))])
            await connection.rollback()
        assert at.left() == 1


@pytest.mark.gen_test
async def test_two_senders_at_once_send_each_once(make_env: MakeEnv) -> None:
    async with receiving() as hook, office(make_env(NOTIFY_ALLOW_PRIVATE="true")) as at:
        for number in range(4):
            at.desk.target(f"ops {number}", "webhook", hook.url)
        alerts = [at.desk.alert(objective=f"o{number}") for number in range(10)]
        await at.tell(*(notice(alert) for alert in alerts))
        async with at.sending(), at.sending(), at.sending():
            await until(lambda: at.left() == 0, "all to be sent")
        assert len(hook.came) == 40
        assert not twice(hook.keys())


@pytest.mark.gen_test
async def test_sent_but_not_marked_is_sent_again_under_the_same_key(make_env: MakeEnv) -> None:
    """A watch dies between sending and marking."""
    async with receiving() as hook, office(make_env(NOTIFY_ALLOW_PRIVATE="true")) as at:
        at.desk.target("ops", "webhook", hook.url)
        await at.tell(notice(at.desk.alert()))
        async with at.db.act() as connection:
            (claimed,) = await outbox_store.claim(connection, 9, 9)
        async with at.sending() as dies:
            outcome = await dies._try(claimed)
        assert outcome.error == ""
        async with at.sending():
            await asyncio.sleep(0.3)
            assert len(hook.came) == 1, "the claim of the dead one still holds"
            at.desk.do("UPDATE notifications SET claimed_until = now() - interval '1 s'")
            at.wake()
            await until(lambda: at.left() == 0, "the second sending")
        assert len(hook.came) == 2
        assert len(set(hook.keys())) == 1


@pytest.mark.gen_test
async def test_a_resolve_never_overtakes_its_trigger(make_env: MakeEnv) -> None:
    async with receiving() as hook, office(make_env(NOTIFY_ALLOW_PRIVATE="true")) as at:
        at.desk.target("ops", "webhook", hook.url)
        alert = at.desk.alert()
        hook.answer = lambda came: 503
        async with at.sending():
            await at.tell(notice(alert))
            await until(lambda: hook.came, "the first try")
            await at.tell(notice(replace(alert, severity=1), "update", now=5.0), notice(alert, "resolve", "Resolved."))
            await at.due()
            await until(lambda: len(hook.came) > 1, "the second try")
            assert set(hook.events()) == {"trigger"}, "nothing else while the trigger waits"
            hook.answer = lambda came: 200
            hook.came.clear()
            await at.due()
            await until(lambda: at.left() == 0, "all to be sent")
        assert hook.events() == ["trigger", "update", "resolve"]


@pytest.mark.gen_test
async def test_retry_after_is_honoured_within_bounds(make_env: MakeEnv) -> None:
    async with receiving() as hook, office(make_env(NOTIFY_ALLOW_PRIVATE="true")) as at:
        at.desk.target("ops", "webhook", hook.url)
        hook.answer = lambda came: (429, {"Retry-After": "120"})
        waits = "SELECT extract(epoch FROM next_at - now())::float, attempts, last_error FROM notifications"
        async with at.sending():
            await at.tell(notice(at.desk.alert()))
            await until(lambda: at.desk.rows("SELECT 1 FROM notifications WHERE last_error <> ''"), "a failure")
            ((wait_s, attempts, error),) = at.desk.rows(waits)
            assert 60 < wait_s <= 120
            assert (attempts, error) == (1, "HTTP 429 Too Many Requests")
            hook.answer = lambda came: (503, {"Retry-After": "999999"})
            await at.due()
            await until(
                lambda: at.desk.rows("SELECT 1 FROM notifications WHERE attempts = 2 AND claimed_until IS NULL"),
                "the second failure",
            )
            assert at.desk.rows(waits)[0][0] <= 600


@pytest.mark.gen_test
async def test_what_cannot_heal_is_given_up_and_so_is_what_follows_it(make_env: MakeEnv) -> None:
    async with receiving() as gone, receiving() as hook, office(make_env(NOTIFY_ALLOW_PRIVATE="true")) as at:
        at.desk.target("gone", "webhook", gone.url)
        at.desk.target("ops", "webhook", hook.url)
        gone.answer = lambda came: 410
        alert = at.desk.alert()
        await at.tell(notice(alert), notice(alert, "acknowledge", "Acknowledged."))
        async with at.sending():
            await until(lambda: at.left() == 0, "an end")
            await at.tell(notice(alert, "resolve", "Resolved."))
            await until(lambda: at.left() == 0, "an end")
        assert gone.events() == ["trigger"]
        assert hook.events() == ["trigger", "acknowledge", "resolve"]
        given_up = at.desk.rows("SELECT last_error FROM notifications WHERE gave_up_at IS NOT NULL ORDER BY id")
        assert given_up == [("HTTP 410 Gone",), ("its trigger was given up: HTTP 410 Gone",)]


@pytest.mark.gen_test
async def test_it_gives_up_after_a_day(make_env: MakeEnv) -> None:
    async with office(make_env(NOTIFY_ALLOW_PRIVATE="true")) as at:
        at.desk.target("nobody", "webhook", "http://127.0.0.1:1/")
        await at.tell(notice(at.desk.alert()))
        async with at.sending():
            await until(lambda: at.desk.rows("SELECT 1 FROM notifications WHERE last_error <> ''"), "a failure")
            assert at.left() == 1
            at.desk.do("UPDATE notifications SET created_at = now() - interval '25 h'")
            await at.due()
            await until(lambda: at.left() == 0, "an end")
        ((error,),) = at.desk.rows("SELECT last_error FROM notifications WHERE gave_up_at IS NOT NULL")
        assert "refused" in error


@pytest.mark.gen_test
async def test_what_refuses_for_ten_minutes_is_given_up(make_env: MakeEnv) -> None:
    """An ingress that answers 404 while its service is deployed: ten minutes from the first 404 in a row."""
    async with receiving() as hook, office(make_env(NOTIFY_ALLOW_PRIVATE="true")) as at:
        at.desk.target("ops", "webhook", hook.url)

        async def tried(status: int, minutes: float) -> None:
            """Time passes, then it is tried once more."""
            at.desk.do(
                "UPDATE notifications SET created_at = created_at - make_interval(secs => %s),"
                " refused_since = refused_since - make_interval(secs => %s)",
                minutes * 60,
                minutes * 60,
            )
            hook.answer = lambda came: status
            many = len(hook.came)
            await at.due()
            await until(lambda: len(hook.came) > many, f"a try after {minutes} min")
            claimed = "SELECT 1 FROM notifications WHERE claimed_until IS NOT NULL"
            await until(lambda: not at.desk.rows(claimed), "its mark")

        async with at.sending():
            await at.tell(notice(at.desk.alert()))
            await until(lambda: at.left() == 0, "the trigger")
            await at.tell(notice(at.desk.alert(objective="other")))
            await until(lambda: at.left() == 0, "the other")
            hook.answer = lambda came: 404
            alert = at.desk.alert(objective="third")
            await at.tell(notice(alert))
            await until(lambda: at.desk.rows("SELECT 1 FROM notifications WHERE last_error <> ''"), "the first 404")
            await tried(401, 6)
            await tried(503, 3)  # down in between: that it is refused begins anew
            await tried(403, 60)
            await tried(404, 9.8)
            assert at.left() == 1, "after more than ten minutes, but not of this"
            await tried(404, 0.4)
            await until(lambda: at.left() == 0, "an end")
        assert at.desk.rows("SELECT last_error FROM notifications WHERE gave_up_at IS NOT NULL") == [
            ("HTTP 404 Not Found",)
        ]


@pytest.mark.parametrize("kind", ["webhook", "email"])
@pytest.mark.gen_test
async def test_dead_targets_hold_up_nobody(make_env: MakeEnv, kind: str) -> None:
    """They take connections and never answer, as many as are sent at once but one; another is told meanwhile."""
    silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    mail = {"SMTP_URL": f"smtp://127.0.0.1:{port}", "SMTP_FROM": "evenkeel@example.com"}
    async with receiving() as hook, office(make_env(NOTIFY_ALLOW_PRIVATE="true", **mail)) as at:
        for number in range(7):
            address = f"http://127.0.0.1:{port}/" if kind == "webhook" else f"boss{number}@example.com"
            at.desk.target(f"silent {number}", kind, address)
        async with at.sending():
            await at.tell(*(notice(at.desk.alert(objective=f"o{number}")) for number in range(5)))
            busy = "SELECT 1 FROM notifications WHERE claimed_until > now()"
            await until(lambda: len(at.desk.rows(busy)) == 28, "the silent ones")
            at.desk.target("ops", "webhook", hook.url.replace("127.0.0.1", "localhost"))
            await at.tell(notice(at.desk.alert()))
            await until(lambda: hook.came, "the one that lives")
    silent.close()


@pytest.mark.gen_test
async def test_pagerduty_gets_one_incident_from_beginning_to_end(make_env: MakeEnv) -> None:
    def first_fails(came: Came) -> int:
        return 500 if len(duty.came) == 1 else 202

    async with receiving() as duty, office(make_env(NOTIFY_ALLOW_PRIVATE="true")) as at:
        at.desk.target("duty", "pagerduty", duty.url, ROUTING_KEY)
        duty.answer = first_fails
        alert = at.desk.alert()
        done = replace(alert, state="resolved")
        async with at.sending():
            await at.tell(
                notice(alert),
                notice(replace(alert, severity=1), "update", now=5.0),
                notice(alert, "acknowledge", "Acknowledged."),
                notice(done, "resolve", "Resolved."),
            )
            await until(lambda: len(duty.came) == 1, "the first try")
            await at.due()
            await until(lambda: at.left() == 0, "all to be sent")
        sent = [came.json for came in duty.came]
        assert [one["event_action"] for one in sent] == ["trigger", "trigger", "trigger", "acknowledge", "resolve"]
        assert {one["dedup_key"] for one in sent} == {incident_key(alert)}
        assert {one["routing_key"] for one in sent} == {ROUTING_KEY}
        assert [one["payload"]["severity"] for one in sent if "payload" in one] == ["error", "error", "critical"]
