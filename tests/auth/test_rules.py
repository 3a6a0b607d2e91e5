"""The pure rules: tokens, roles, how long to wait, whom to believe about addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from server.auth import tokens
from server.auth.identity import ROLES, checked_role, checked_scopes, scopes_of
from server.auth.people import checked_email
from server.auth.proxies import believe
from server.auth.signin import ACCOUNT, ADDRESS, wait_s
from server.auth.signin_store import WINDOW_S
from server.kernel.errors import ApiError


def test_a_key_has_256_bits_and_only_its_digest_can_be_looked_up() -> None:
    key = tokens.new_token("ek")
    assert key.startswith("ek_")
    assert len(key) == 3 + 43
    assert tokens.well_formed("ek", key)
    assert not tokens.well_formed("es", key)
    assert len(tokens.digest(key)) == 32
    assert tokens.new_token("ek") != key


@pytest.mark.parametrize(
    "bad", ["", "ek_", "ek_" + "a" * 42, "ek_" + "a" * 44, "ek_" + "é" * 43, "ek_" + "a" * 43 + "\n"]
)
def test_what_cannot_be_a_key_costs_no_query(bad: str) -> None:
    assert not tokens.well_formed("ek", bad)


def test_roles_give_the_scopes_of_the_contract() -> None:
    assert scopes_of("viewer") == {"read"}
    assert scopes_of("responder") == scopes_of("commander") == {"read", "act"}
    assert scopes_of("admin") == {"read", "act", "admin"}
    assert scopes_of("owner") == frozenset()
    assert all("ingest" not in scopes for scopes in ROLES.values())


def test_bad_roles_and_scopes_name_the_good_ones() -> None:
    with pytest.raises(ApiError, match="viewer, responder, commander, admin"):
        checked_role("root")
    with pytest.raises(ApiError, match="ingest, read, act, admin"):
        checked_scopes(["read", "write"])
    with pytest.raises(ApiError, match="empty"):
        checked_scopes([])
    assert checked_scopes(["read", "ingest", "read"]) == ["ingest", "read"]


@pytest.mark.parametrize(
    "email", ["", "mira", "@", "a@", "@b", "a b@c", "a@b\n", "a\0@b", "a@b@c", "x" * 65 + "@b", "a@" + "b" * 190]
)
def test_what_is_not_an_address_is_refused(email: str) -> None:
    if email == "a@b\n":
        assert checked_email(email) == "a@b"
        return
    with pytest.raises(ApiError):
        checked_email(email)


def test_addresses_are_compared_in_lower_case() -> None:
    assert checked_email("  Mira@Example.COM ") == "mira@example.com"


@given(st.lists(st.floats(0, 2000), max_size=40), st.floats(0, 2000))
def test_the_wait_is_bounded_and_ends(failures: list[float], now: float) -> None:
    for rule in (ACCOUNT, ADDRESS):
        wait = wait_s(failures, now, rule)
        assert 0 <= wait <= rule.longest_s
        # Whoever waits as told may try, unless failures lie in the future (another process's clock).
        if all(at <= now for at in failures):
            assert wait_s(failures, now + wait + 0.001, rule) == 0 or wait == 0
    if len(failures) < ACCOUNT.free:
        assert wait_s(failures, now, ACCOUNT) == 0


def test_the_wait_doubles_to_a_minute_and_old_failures_are_forgotten() -> None:
    waits = [wait_s([100.0] * n, 100.0, ACCOUNT) for n in range(4, 15)]
    assert waits == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert wait_s([100.0] * 10, 100.0 + WINDOW_S, ACCOUNT) == 0
    assert wait_s([100.0] * 19, 100.0, ADDRESS) == 0


def request(**headers: str) -> HTTPServerRequest:
    sent = HTTPHeaders({name.replace("_", "-"): value for name, value in headers.items()})
    made = HTTPServerRequest(start_line=RequestStartLine("GET", "/", "HTTP/1.0"), headers=sent)
    made.remote_ip, made.protocol = "10.0.0.9", "http"
    return made


@pytest.mark.parametrize(
    ("trusted", "header", "address"),
    [
        (0, "1.2.3.4", "10.0.0.9"),
        (1, "1.2.3.4", "1.2.3.4"),
        (1, "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        (2, "6.6.6.6, 1.2.3.4, 7.7.7.7", "1.2.3.4"),
        (2, "1.2.3.4", "1.2.3.4"),
        (1, "6.6.6.6, not-an-address", "10.0.0.9"),
        (1, "", "10.0.0.9"),
        (1, "2001:db8::1", "2001:db8::1"),
    ],
)
def test_only_what_a_trusted_proxy_wrote_is_believed(trusted: int, header: str, address: str) -> None:
    asked = request(X_Forwarded_For=header, X_Real_Ip="6.6.6.6", X_Scheme="https")
    believe(asked, trusted)
    assert asked.remote_ip == address
    assert asked.protocol == "http"


def test_the_scheme_is_the_trusted_proxys_too() -> None:
    asked = request(X_Forwarded_Proto="http, https")
    believe(asked, 1)
    assert asked.protocol == "https"
    asked = request(X_Forwarded_Proto="javascript")
    believe(asked, 1)
    assert asked.protocol == "http"
