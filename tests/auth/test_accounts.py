"""People and their accounts: passwords, codes, proof, idle sessions, and who is erased."""

from __future__ import annotations

import re
import time
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from server.auth import second_step, totp
from server.auth.easy_passwords import too_easy
from server.auth.form_token import form_token, is_of
from server.auth.passwords import hashed, matches
from server.kernel import sealed
from tests.dashboard.visitor import PASSWORD, look, press, said, sign_in
from tests.site import Site

RFC_6238 = b"12345678901234567890"
NEW = "violet tangent plinth ledger"


async def do(site: Site, statement: str, **given: Any) -> list[Any]:
    async with site.parts.db.act() as connection:
        found = await connection.execute(text(statement), given)
        rows = list(found) if found.returns_rows else []
    await site.parts.auth.sessions.fresh.quietly()
    return rows


@pytest.mark.parametrize(
    ("digest", "length", "codes"),  # RFC 6238, appendix B
    [
        ("sha1", 20, ["94287082", "07081804", "14050471", "89005924", "69279037", "65353130"]),
        ("sha256", 32, ["46119246", "68084774", "67062674", "91819424", "90698825", "77737706"]),
        ("sha512", 64, ["90693936", "25091201", "99943326", "93441116", "38618901", "47863826"]),
    ],
)
def test_codes_are_those_of_the_rfc(digest: str, length: int, codes: list[str]) -> None:
    from base64 import b32encode

    secret = b32encode((RFC_6238 * 4)[:length]).decode()
    moments = (59, 1111111109, 1111111111, 1234567890, 2000000000, 20000000000)
    assert [totp.code_at(secret, at // 30, 8, digest) for at in moments] == codes


def test_a_code_is_taken_near_its_time_and_once() -> None:
    secret, now = totp.new_secret(), 1_800_000_000.0
    step = int(now) // 30
    for off, taken in ((-2, None), (-1, step - 1), (0, step), (1, step + 1), (2, None)):
        assert totp.step_of(secret, totp.code_at(secret, step + off), now, 0) == taken
    assert totp.step_of(secret, totp.code_at(secret, step), now, step) is None
    assert totp.step_of(secret, "é12345", now, 0) is None


@pytest.mark.parametrize(
    ("password", "easy"),
    [
        ("correct horse battery", False),
        ("tl7#kd92mfa!x", False),
        ("password1234", True),
        ("P@ssw0rd1234", True),
        ("Summer2026!!", True),
        ("dragondragon", True),
        ("123456789012", True),
        ("qwertyuiop12", True),
        ("abababababab", True),
        ("evenkeel2026!", True),
        ("mira@example.com1", True),
    ],
)
def test_what_everybody_tries_first_is_no_password(password: str, easy: bool) -> None:
    assert bool(too_easy(password, ("mira@example.com", "evenkeel"))) is easy


def test_a_form_token_is_of_one_session_and_no_two_are_alike() -> None:
    one, other = form_token("key", "session a"), form_token("key", "session a")
    assert one != other
    assert is_of(one, "key", "session a")
    for secret, whose, token in (
        ("key", "session b", one),
        ("other", "session a", one),
        ("key", "session a", one[:-4]),
    ):
        assert not is_of(token, secret, whose)
    assert not is_of("é", "key", "session a")


def test_what_is_sealed_opens_with_its_key_alone() -> None:
    kept = sealed.seal("key", "targets", "s3cret")
    assert "s3cret" not in kept
    assert sealed.opened("key", "targets", kept) == "s3cret"
    for key, purpose in (("other", "targets"), ("key", "codes")):
        with pytest.raises(sealed.Unreadable):
            sealed.opened(key, purpose, kept)


def test_a_password_is_taken_as_it_was_typed() -> None:
    stored = hashed("  Violet tangent plinth ")
    typed = ("  Violet tangent plinth ", "Violet tangent plinth", "  violet tangent plinth ")
    assert [matches(stored, each) for each in typed] == [True, False, False]


def test_the_right_password_waits_five_minutes_for_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    row, now = SimpleNamespace(id=7, password="hash"), time.time()
    first = second_step.first_step("key", row)
    assert second_step.who_came("key", first) == (7, second_step.mark("hash"))
    assert second_step.who_came("other", first) is None
    for after_s, person in ((299, 7), (302, None)):
        monkeypatch.setattr(time, "time", lambda after_s=after_s: now + after_s)
        came = second_step.who_came("key", first)
        assert (came and came[0]) == person


@pytest.mark.gen_test
async def test_ones_own_password_takes_the_old_one_and_ends_other_sessions(web: Any) -> None:
    site = await web()
    mine = await sign_in(site, "viewer")
    ((email,),) = await do(site, "SELECT email FROM users")
    await site.parts.auth.sign_in(email, PASSWORD, "127.0.0.1", "phone")
    wrong = await press(site, "/account/password", mine, old="not it at all", password=NEW)
    assert "is not your password" in said(wrong, site)
    easy = await press(site, "/account/password", mine, old=PASSWORD, password="password1234")
    assert "breaches" in said(easy, site)
    done = await press(site, "/account/password", mine, old=PASSWORD, password=NEW)
    assert said(done, site) == "Your password is changed. 1 other session has ended."
    assert (await look(site, "/account", mine)).code == 200
    assert await site.parts.auth.sign_in(email, NEW, "127.0.0.1", "phone")


@pytest.mark.gen_test
async def test_codes_are_turned_on_asked_for_and_each_works_once(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site = await web()
    mine = await sign_in(site, "responder")
    ((email,),) = await do(site, "SELECT email FROM users")
    begun = (await press(site, "/account/codes", mine)).body.decode()
    assert "<svg" in begun
    secret = re.findall(r"<code[^>]*>([A-Z2-7]{32})</code>", begun)[0]
    kept = re.findall(r'name="sealed" value="([^"]+)"', begun)[0]
    assert secret not in kept
    wrong = await press(site, "/account/codes/confirm", mine, sealed=kept, code="000000")
    assert wrong.code == 422
    code = totp.code_at(secret, int(time.time()) // 30)
    on = await press(site, "/account/codes/confirm", mine, sealed=kept, code=code)
    recovery = re.findall(r"[A-Z2-7]{4}(?:-[A-Z2-7]{4}){3}", on.body.decode())
    assert len(recovery) == totp.RECOVERY_CODES
    stored = await do(site, "SELECT totp_secret, (SELECT string_agg(digest::text, '') FROM recovery_codes) FROM users")
    assert secret not in str(stored)

    async def enter(code: str) -> Any:
        asked = await press(site, "/sign-in", email=email, password=PASSWORD)
        assert not any(c.startswith("evenkeel_session") for c in asked.headers.get_list("Set-Cookie"))
        first = re.findall(r'name="first" value="([^"]+)"', asked.body.decode())[0]
        return await press(site, "/sign-in/code", first=first, code=code)

    assert (await enter(code)).code == 401, "used already"
    await do(site, "UPDATE users SET totp_step = 0")
    assert (await enter(totp.code_at(secret, int(time.time()) // 30))).code == 303
    assert (await enter(recovery[0].lower().replace("-", " "))).code == 303
    assert (await enter(recovery[0])).code == 401, "each works once"
    assert (await press(site, "/sign-in/code", first="forged", code=code)).code == 401
    assert said(await press(site, "/account/codes/off", mine), site) == "Signing in takes the password alone now."
    assert (await press(site, "/sign-in", email=email, password=PASSWORD)).code == 303


@pytest.mark.gen_test
async def test_keys_people_and_targets_ask_for_the_password_again(web: Any) -> None:
    site = await web()
    admin = await sign_in(site)
    await do(site, "UPDATE sessions SET proved_at = now() - interval '11 minutes'")
    for path, fields in (
        ("/setup/keys", {"name": "ci", "scope": ["ingest", "read"]}),
        ("/setup/people", {"email": "jon@example.com", "role": "viewer", "password": NEW}),
        ("/setup/targets", {"name": "ops", "kind": "webhook", "address": "https://example.com/x", "step": "1"}),
        ("/account/codes", {}),
    ):
        asked = await press(site, path, admin, **fields)
        assert asked.code == 401, path
        assert b"once more" in asked.body
    assert await do(site, "SELECT count(*) FROM api_keys") == [(0,)]
    wrong = await press(site, "/setup/keys", admin, name="ci", scope="ingest", confirm_password="wrong wrong wrong")
    assert (wrong.code, b"The password is wrong." in wrong.body) == (401, True)
    assert b'name="name" value="ci"' in wrong.body
    assert (await press(site, "/setup/keys", admin, name="ci", scope="ingest", confirm_password=PASSWORD)).code == 200
    assert (await press(site, "/setup/keys", admin, name="another", scope="ingest")).code == 200, "for ten minutes"


@pytest.mark.gen_test
async def test_a_session_that_nobody_uses_ends(web: Any) -> None:
    site = await web()
    mine = await sign_in(site, "viewer")
    await do(site, "UPDATE sessions SET seen_at = now() - interval '71 hours'")
    assert (await look(site, "/account", mine)).code == 200
    await do(site, "UPDATE sessions SET seen_at = now() - interval '73 hours'")
    assert (await look(site, "/account", mine)).code == 302
    ((days,),) = await do(site, "SELECT extract(day FROM expires_at - created_at)::int FROM sessions")
    assert days == 30
    await do(site, "UPDATE sessions SET seen_at = now(), expires_at = now() + interval '1 minute'")
    assert (await look(site, "/account", mine)).code == 200
    await do(site, "UPDATE sessions SET expires_at = now()")
    assert (await look(site, "/account", mine)).code == 302, "in any case"


@pytest.mark.gen_test
async def test_the_form_of_another_session_is_refused(web: Any) -> None:
    site = await web()
    mine, other = await sign_in(site, "viewer"), await sign_in(site, "viewer")
    page = (await look(site, "/account", other)).body.decode()
    token = re.findall(r'name="_xsrf" value="([^"]+)"', page)[0]
    assert (await press(site, "/account/codes", mine, _xsrf=token)).code == 403
    assert (await press(site, "/account/codes", other, _xsrf=token)).code == 200


@pytest.mark.gen_test
async def test_who_is_erased_stands_nowhere_and_the_audit_keeps_an_id(web: Any) -> None:
    site = await web()
    admin, mira = await sign_in(site), await sign_in(site, "responder")
    ((person, email),) = await do(site, "SELECT id, email FROM users WHERE role = 'responder'")
    change = {"setting": "INGEST_MAX_BATCH_ITEMS", "expected": "1", "value": "500", "scope": "all", "minutes": "30"}
    assert (await press(site, "/config/change", mira, **change, reason="less")).code == 303
    await press(site, "/gate/override", mira, service="evenkeel", kind="deploy", minutes="5", reason=f"ask {email}")
    await press(site, "/incidents/declare", mira, title=f"told by {email}", service="", severity="2")
    for act in (
        {"act": "note", "text": f"ask {email}", "key": "k"},
        {"act": "task", "text": "look", "owner": email, "minutes": "5"},
        {"act": "report", "root_cause": email, "cause_class": "data", "went_well": ""},
        {"act": "action", "title": "mend it", "owner": email, "priority": "1", "due_at": "2026-12-24"},
    ):
        assert (await press(site, "/incidents/1/act", mira, **act)).code == 303
    twin = f"x{email}"
    await do(site, "INSERT INTO audit (actor, action, subject) VALUES (:twin, 'x', 'y')", twin=twin)
    with pytest.raises(Exception, match="append-only"):
        await do(site, "UPDATE audit SET actor = 'person:1'")
    done = await press(site, "/setup/people/change", admin, id=person, do="erase")
    assert said(done, site) == f"{email} is erased; what they did stands under person:{person}."
    for (table,) in await do(
        site, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    ):
        if table not in ("log_lines", "audit"):
            assert await do(site, f"SELECT count(*) FROM {table} t WHERE strpos(t::text, :email) > 0", email=email) == [
                (0,)
            ], table
    said_so = f"ask person:{person}"
    assert await do(site, "SELECT author, text FROM incident_entries WHERE kind = 'note'") == [
        (f"person:{person}", said_so)
    ]
    with pytest.raises(Exception, match="append-only"):
        await do(site, "UPDATE incident_entries SET text = 'never said'")
    acts = await do(
        site, "SELECT actor, before::text || after::text FROM audit WHERE strpos(audit::text, :email) > 0", email=email
    )
    assert [actor for actor, _ in acts] == [twin], "another address that ends alike stays"
    assert await do(site, "SELECT DISTINCT author FROM revisions WHERE number = 2") == [(f"person:{person}",)]
    ((kept,),) = await do(site, "SELECT count(*) FROM audit WHERE actor = :id", id=f"person:{person}")
    assert kept >= 3
    assert (await look(site, "/", mira)).code == 302
