"""What is a secret in a log line and what is none, and that no line is read more than a few times."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.ingest.lines.masking import MASKS, masked

JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
# The marks are put together here, so that no scanner takes this file for a leak.
GITHUB, SLACK, STRIPE = "gh" + "p_" + "a1B2" * 9, "xox" + "b-2334-" + "5f6g" * 4, "sk" + "_live_" + "4eC39HqLyjWDarjt"
AWS = "AK" + "IAIOSFODNN7EXAMPLE"

# Each text, and what must not be in it afterwards.
SECRETS = [
    ("Authorization: Bearer abcdef1234567890", "abcdef1234567890"),
    ('headers={"authorization": "Basic dXNlcjpwYXNz", "x": 1}', "dXNlcjpwYXNz"),
    ("'Proxy-Authorization': 'Digest username=\"Mufasa\", response=\"6629fae49393a053\"'", "6629fae49393a053"),
    ("Authorization: AWS4-HMAC-SHA256 Credential=x/y, Signature=fe5f80f77d5fa3be", "fe5f80f77d5fa3be"),
    ("authorization=7f3c9e2a11bb", "7f3c9e2a11bb"),
    ("sending Bearer s3cr3t-t0ken-value upstream", "s3cr3t-t0ken"),
    ("Cookie: sid=31d4d96e407aad42; lang=en; csrf=77aa88", "31d4d96e407aad42"),
    ("Cookie: sid=31d4d96e407aad42; lang=en; csrf=77aa88", "77aa88"),
    ('"set-cookie":"connect.sid=s%3Aabc.def; Path=/; HttpOnly"', "s%3Aabc.def"),
    ("password=hunter2&next=/", "hunter2"),
    ("DB_PASSWORD=pa$$word1 DB_HOST=db", "pa$$word1"),
    ('{"user":"mira","password":"hun\\"ter2","ok":true}', "ter2"),
    (r'body: "{\"password\":\"hunter2\",\"a\":1}"', "hunter2"),
    ("Parameters: {'passwd': 'hunter2', 'id': 3}", "hunter2"),
    ('"password"=>"hunter2"', "hunter2"),
    ("<wsse:Password>hunter2</wsse:Password>", "hunter2"),
    ("GET /callback?access_token=0123456789abcdef&state=9 200", "0123456789abcdef"),
    ("x-api-key: 9f8e7d6c5b4a", "9f8e7d6c5b4a"),
    ("apikey='0a1b2c3d4e5f'", "0a1b2c3d4e5f"),
    ("refresh_token%3Dabcdefgh1234", "abcdefgh1234"),
    ("client_secret: 8~aQ", "8~aQ"),
    ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", "wJalrXUtnFEMI"),
    ("JSESSIONID sessionid=ABCDEF0123456789", "ABCDEF0123456789"),
    ("connecting to postgres://app:s3cr3t@db:5432/shop", "s3cr3t"),
    ("amqp://u:p@ss@mq/ lost", "p@ss"),
    (f"got {JWT} from client", "dozjgNryP4J3"),
    (f"pushed with {GITHUB}", GITHUB),
    (f"env {AWS} set", AWS),
    (f"slack {SLACK}", SLACK),
    (f"stripe={STRIPE}", STRIPE),
    ("posting to https://hooks.slack.com/services/T000/B000/XXXXabcd", "XXXXabcd"),
    ("AIza" + "SyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY failed", "SyD-9tSrke72"),
    ("card 4111 1111 1111 1111 declined", "4111 1111"),
    ("pan=5555555555554444;", "5555555555554444"),
    ("amex 3782-822463-10005", "822463"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----", "MIIEow"),
    ("key " + "ek" + "_" + "Zx9" * 14 + "y used", "Zx9Zx9"),
    ("SECRET_KEY_BASE=abcdef", "abcdef"),
    ("DB_PASS=hunter2 STRIPE_KEY=k1", "hunter2"),
    ("ENCRYPTION_KEY=hunter3", "hunter3"),
    ("AccountKey=Zm9v/bar==;EndpointSuffix=x", "Zm9v"),
    ("GET /blob?sv=2024&sig=a1b2c3d4e5f6 200", "a1b2c3d4e5f6"),
    ("ya" + "29." + "a0AfH6SMBx" * 3 + " used", "a0AfH6"),
    ("gl" + "ptt-" + "0123456789abcdef01234567 used", "0123456789abcdef"),
    ("hf" + "_" + "aB3" * 11 + " used", "aB3aB3"),
]

PLAIN = [
    "order 4111111111111112 shipped",  # the check digit is wrong
    "order 7992739871300003 at 1795000000123456",
    "req 4f1c9a52-0d6f-4b0e-9f0e-3c1d7f1f8a44 trace 4bf92f3577b34da6a3ce929d0e0e4736",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 deployed as v1.24.0-rc.1",
    "2026-11-30T12:00:00.123456Z INFO GET /users/4111/orders/1111 200 12ms",
    "password must be at least 8 characters",
    "password: is required",
    '{"password":null,"token":"","ok":true}',
    "max_tokens=512 token=42 tokens: 1890",
    "basic authentication failed for mira",
    "bearer of bad news",
    "authorization: denied for mira",
    "Authorization failed: no key",
    "cookie: expired",
    "peek_next_message_from_the_queue took week_over_week_growth_rate",
    "http://shop:8080/health and mailto:mira@example.com",
    "monkey=banana keyboard: qwerty",
    "session=closed auth=ok signature: invalid",
    "es_mx_translation_files_missing_from_bundle",
    "sk-ip this",
    "ip 10.0.0.1 port 54321 phone 555-0100-2000",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "SKU 3782-8224-6310 x 12",
    "the secret of success is not a value",
    "auth: succeeded for mira",
    "jwt: disabled globally",
    "signature: com.example.Foo.bar",
    "sk-learn-pipeline-runner-job started",
    "compass: northwest bypass=manual",
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_secret_is_taken_out_and_what_it_was_stays(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in masked(text)
    assert "…" in masked(text)


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_stays(text: str) -> None:
    assert masked(text) == text


def test_what_stands_beside_a_secret_stays() -> None:
    assert masked('{"user":"mira","password":"hunter2","ok":true}') == '{"user":"mira","password":…,"ok":true}'
    assert masked("GET /a?token=0123456789&page=2 200") == "GET /a?token=…&page=2 200"
    assert masked("Cookie: a=1; b=2 rest of it") == "Cookie: … rest of it"
    assert masked("postgres://app:s3cr3t@db/shop") == "postgres://app:…@db/shop"


PIECES = [mark for mask in MASKS for mark in mask.marks] + [*'"\\=:; -.@/\n&', "a", "1", "eyJ", "4111 ", "Bearer "]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=4))
def test_any_piece_repeated_takes_time_in_proportion(pieces: list[str]) -> None:
    """Were it quadratic, sixteen times as much would take 256 times as long."""
    piece = "".join(pieces)
    short, long = took(piece * 400), took(piece * 6400)
    assert long < 80 * short + 0.02


def took(text: str) -> float:
    """Seconds of this process, the best of three."""
    best = 10.0
    for _ in range(3):
        began = time.process_time()
        masked(text)
        best = min(best, time.process_time() - began)
    return best
