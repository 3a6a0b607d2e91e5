"""Secrets of the environment are in no text that leaves us, whole or in the pieces that a driver repeats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from checks.check import fail
from server.http.failures import as_api_error
from server.kernel import redaction
from server.kernel.errors import ApiError, ConfigurationError, problem
from server.kernel.redaction import hide, redact, secrets_in
from server.kernel.text import first_line

ENVIRONMENT = {
    "DATABASE_URL": "postgresql://keel:Tr0ub4dor%zz&3@db.example/evenkeel?sslpassword=f00tballs",
    "REDIS_URL": "rediss://:correct/horse@redis.example:6379/0",
    "SMTP_URL": "smtp://mailer%40example.com:battery%2Fstaple@mail.example:587",
    "SECRET_KEY": "0123456789abcdef0123456789abcdef",
    "PUBLIC_URL": "https://keel.example",
}
SECRETS = ("Tr0ub4dor%zz&3", "Tr0ub4dor", "f00tballs", "correct/horse", "battery%2Fstaple", "battery/staple", "staple")


@pytest.fixture(autouse=True)
def hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_own", ())
    hide(secrets_in(ENVIRONMENT))


@pytest.mark.parametrize("secret", [*SECRETS, ENVIRONMENT["SECRET_KEY"]])
def test_no_outward_text_has_a_secret(secret: str) -> None:
    said = f'invalid percent-encoded token: "{secret}"'
    texts = [
        redact(said),
        first_line(OSError(said)),
        json.dumps(problem(ApiError("INVALID", said), "id", "/")),
        json.dumps(problem(as_api_error(psycopg.DataError(said), 500), "id", "/")),
        str(ConfigurationError(said)),
        fail(said, said).what,
        fail(said, said).hint,
    ]
    assert [text for text in texts if secret in text] == []


def test_what_is_no_secret_stays() -> None:
    said = "keel at db.example: password: give 12 or more characters; https://keel.example/api, evenkeel"
    assert ApiError("INVALID", said).detail == said
    assert (
        secrets_in({"DATABASE_URL": "postgres://evenkeel:evenkeel@localhost/evenkeel", "PUBLIC_URL": "http://x"})
        == set()
    )


@pytest.mark.gen_test
async def test_health_does_not_repeat_the_password(web: Any, tmp_path: Path) -> None:
    """What libpq says of a password that it cannot read."""
    site = await web()
    site.parts.db.url = ENVIRONMENT["DATABASE_URL"]
    await site.parts.db.control.dispose()
    found = await site.fetch("/health/ready")
    assert found.code == 503
    assert b"percent-encoded" in found.body
    assert not [secret for secret in SECRETS if secret.encode() in found.body]
