"""The pure rules: what fits, who is told, when it is tried again, what is shown of an address."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from server.alerts.words import message, resolved
from server.kernel.errors import ApiError
from server.notify import retry
from server.notify.kind import Parcel, Post
from server.notify.kinds import KINDS, pagerduty, slack
from server.notify.message import CHARACTERS, escalated, fit, link, subject
from server.notify.retry import (
    GIVE_UP_S,
    LONGEST_S,
    REFUSED_S,
    RETRY_AFTER_MAX_S,
    delay_s,
    retry_after_s,
)
from server.notify.steps import first_step, next_step
from server.notify.target import Target
from tests.notify.making import an_alert, evidence


def test_the_message_fits_a_lock_screen() -> None:
    alert = an_alert()
    text = fit(alert, message(alert))
    assert text == (
        "SEV-2 checkout: 4.1 % of requests fail (objective 0.1 %) since 07:59:40 UTC. Likely: version 5f2c1a9."
    )
    assert len(fit(alert, escalated(message(alert)))) <= CHARACTERS
    slow = an_alert(evidence=evidence(kind="latency", threshold_ms=300.0, bad_ratio=0.08, target=0.99))
    assert re.search(r"41 of 1,000 requests take over 300 ms \(objective 1 %\)", fit(slow, message(slow)))


def test_figures_are_those_of_the_pages() -> None:
    """A strict objective, and an outage of seconds: no less is told at night than is shown by day."""
    strict = an_alert(evidence=evidence(target=0.9999, bad_ratio=0.9996))
    assert "99.9 % of requests fail (objective 0.01 %)" in message(strict)
    over = an_alert(resolved_at=1_799_999_984.2)
    assert resolved(over, "Clear for 60 s.") == "Recovered: checkout at 07:59:44 UTC, after 4.2 s. Clear for 60 s."


@given(st.text(max_size=250), st.text(max_size=250), st.text(max_size=400))
def test_whatever_the_names_it_is_one_printable_line(service: str, likely: str, more: str) -> None:
    alert = an_alert(service=service, evidence=evidence(likely=likely))
    for text in (fit(alert, message(alert) + more), fit(alert, more), subject(alert)):
        assert len(text) <= CHARACTERS
        assert text.isprintable()


def test_a_long_name_is_cut_and_what_is_said_of_it_stays() -> None:
    alert = an_alert(service="x" * 200, evidence=evidence(likely="version " + "y" * 200))
    assert "4.1 % of requests fail (objective 0.1 %)" in fit(alert, message(alert))


def test_no_name_can_call_a_channel_or_hide_a_link() -> None:
    sent = json.loads(slack.body("<!channel> & <https://evil.example.com|here>", "https://e/alerts/1"))
    assert sent["text"] == "&lt;!channel&gt; &amp; &lt;https://evil.example.com|here&gt; <https://e/alerts/1>"


def test_a_link_only_shows() -> None:
    assert link("https://e", an_alert(id=7)) == "https://e/alerts/7"


def test_pagerduty_names_an_alert_the_same_from_beginning_to_end_and_apart_from_every_other() -> None:
    alert = an_alert(id=17)
    later = replace(alert, severity=1, fired_times=3, acknowledged_by="mira", resolved_at=1_800_000_900.0)
    assert pagerduty.incident_key(alert) == pagerduty.incident_key(later)
    assert pagerduty.alert_of(pagerduty.incident_key(alert)) == (17, 1_800_000_000)
    # Another database counts its alerts from 1 again.
    assert pagerduty.incident_key(alert) != pagerduty.incident_key(replace(alert, detected_at=1_800_000_001.0))
    for other in ("", "evenkeel-1", "evenkeel--1-2", "evenkeel-1-2x", "evenkeel-١-٢", "sha-1-2"):
        assert pagerduty.alert_of(other) is None


@pytest.mark.parametrize(("severity", "word"), [(1, "critical"), (2, "error"), (3, "warning")])
def test_severities(severity: int, word: str) -> None:
    parcel = Parcel(a_target("duty", "pagerduty"), "key", "trigger", "text", an_alert(severity=severity))
    (post,) = KINDS["pagerduty"].messages(parcel, "https://e", 0.0)
    assert isinstance(post, Post)
    body = json.loads(post.body)
    assert body["payload"]["severity"] == word


@given(st.integers(1, 2000), st.floats(0, 1), st.none() | st.floats(0, 1e9))
def test_waiting_grows_and_has_bounds(attempt: int, random: float, asked: float | None) -> None:
    wait_s = delay_s(attempt, random, asked)
    assert 1.0 <= wait_s <= RETRY_AFTER_MAX_S
    if asked is None:
        assert wait_s <= LONGEST_S
        assert delay_s(attempt + 1, random) >= wait_s
    else:
        assert wait_s >= min(asked, RETRY_AFTER_MAX_S)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("9" * 40, 999_999_999.0),
        ("-5", None),
        ("soon", None),
        ("١٢", None),
        (formatdate(1_800_000_090, usegmt=True), 90.0),
        (formatdate(1_799_999_000, usegmt=True), 0.0),
        ("Sun, 06 Nov 1994 08:49:37", 0.0),
        ("Wed, 99 Foo 2026 99:99:99 GMT", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, 1_800_000_000) == seconds


@pytest.mark.parametrize(
    ("patience_s", "statuses"),
    [(0.0, (400, 405, 410, 422)), (REFUSED_S, (401, 403, 404)), (GIVE_UP_S, (301, 408, 425, 429, 500, 503, 599))],
)
def test_how_long_a_status_may_go_on(patience_s: float, statuses: tuple[int, ...]) -> None:
    assert {status: retry.patience_s(status) for status in statuses} == dict.fromkeys(statuses, patience_s)


def test_when_it_is_given_up() -> None:
    assert retry.goes_on(GIVE_UP_S, age_s=GIVE_UP_S - 1, refused_s=9e9)
    assert not retry.goes_on(GIVE_UP_S, age_s=GIVE_UP_S, refused_s=0)
    assert retry.goes_on(REFUSED_S, age_s=3600, refused_s=0)
    assert not retry.goes_on(REFUSED_S, age_s=3600, refused_s=REFUSED_S)
    assert not retry.goes_on(0.0, age_s=0, refused_s=0)


def a_target(name: str, kind: str = "webhook", step: int = 1) -> Target:
    return Target(hash(name), name, kind, "https://e", "", "", step)


def test_who_is_told_in_which_step() -> None:
    duty, chat, boss = a_target("duty", "pagerduty"), a_target("chat", "slack", 2), a_target("boss", "email", 4)
    all_ = [boss, duty, chat]
    assert first_step(all_, "page") == [duty]
    assert next_step(all_, "page", 1) == [chat]
    assert next_step(all_, "page", 2) == [boss], "a step that nobody is in is no step"
    assert next_step(all_, "page", 4) == []
    assert first_step(all_, "ticket") == [chat], "a ticket wakes nobody"
    assert first_step([duty], "ticket") == []
    assert first_step([boss], "page") == [boss], "somebody is told at once"


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("webhook", ""),
        ("webhook", "http://example.com"),
        ("webhook", "ftp://example.com"),
        ("webhook", "https://"),
        ("webhook", "https://example.com:99999"),
        ("webhook", "https://example.com/a b"),
        ("webhook", "https://example.com/\r\nX: y"),
        ("webhook", "https://exämple.com/"),
        ("webhook", "https://example.com/" + "x" * 2000),
        ("webhook", "https://example.com\\@127.0.0.1/"),
        ("webhook", "https://169.254.169.254/hook"),
        ("slack", "https://10.1.2.3/"),
        ("pagerduty", "https://[::1]:8443/"),
        ("webhook", "https://[::ffff:10.0.0.1]/"),
        ("webhook", "https://2130706433/"),
        ("webhook", "https://127.1/"),
        ("webhook", "https://0x7f.0.0.1/"),
        ("webhook", "https://0251.0376.0251.0376/"),
        ("email", "nobody"),
        ("email", "a@b.c, d@e.f"),
        ("email", "a@b.c\nBcc: d@e.f"),
        ("email", "Mira <mira@example.com>"),
    ],
)
def test_an_address_that_is_none(kind: str, address: str) -> None:
    with pytest.raises(ApiError) as refused:
        KINDS[kind].checked_address(address, private=False)
    assert refused.value.extra["errors"][0]["field"] == "address"


def test_an_address_that_is_one() -> None:
    assert KINDS["pagerduty"].checked_address("", private=False) == pagerduty.EVENTS_URL
    for public in (
        "https://8.8.8.8/x",
        "https://[2606:4700::1111]/",
        "https://10.example.com/",
        "https://cafe/",
        "https://134744072/",
    ):
        assert KINDS["webhook"].checked_address(public, private=False) == public
    assert KINDS["webhook"].checked_address("http://10.0.0.1:8080/x", private=True) == "http://10.0.0.1:8080/x"


def test_what_is_shown_of_an_address() -> None:
    assert KINDS["slack"].shown_address("https://hooks.slack.com/services/T0/B0/s3cret") == "https://hooks.slack.com/…"
    assert KINDS["webhook"].shown_address("https://u:p4ss@e.com:8443/x?token=1") == "https://e.com:8443/…"
    assert KINDS["email"].shown_address("mira@example.com") == "mira@example.com"


def test_pagerdutys_signature_among_several() -> None:
    body = b'{"event":{}}'
    good = f"v1={hmac.new(b'inbound-secret-0123', body, hashlib.sha256).hexdigest()}"
    assert pagerduty.signed_by("inbound-secret-0123", good, body)
    assert pagerduty.signed_by("inbound-secret-0123", f"v1={'0' * 64}, {good}", body)
    for header in ("", "v1=", good[3:], good.upper(), good + "0", f"v1={'é' * 64}", "v2=" + good[3:]):
        assert not pagerduty.signed_by("inbound-secret-0123", header, body), header
    assert not pagerduty.signed_by("inbound-secret-0123", good, body + b" ")
    assert not pagerduty.signed_by("another-secret-0123", good, body)
