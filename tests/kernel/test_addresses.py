"""DATABASE_URL by libpq's own rules: what is taken, and what each fault is named as, without the password."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from server.kernel.addresses import database_url
from server.kernel.errors import ConfigurationError
from server.kernel.settings import read_environment


def fault(url: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_environment({"DATABASE_URL": url, "SECRET_KEY": "a-key-for-tests-only"})
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        (
            "postgres://app:secret@db1.example.com:5432,db2.example.com:5432/app?target_session_attrs=read-write",
            {"host": "db1.example.com,db2.example.com", "port": "5432,5432", "target_session_attrs": "read-write"},
        ),
        ("postgresql+psycopg://u:p@h1:1,h2/d", {"host": "h1,h2", "port": "1,"}),
        ("postgres://u:p%5Bss%25@h/d", {"password": "p[ss%"}),
        ("postgres://u:p:^s!$&'()*+,;=@[::1]:5432/d", {"password": "p:^s!$&'()*+,;=", "host": "::1"}),
        ("postgres://h/d?application_name=a@b", {"application_name": "a@b"}),
        ("postgresql:///d?host=/var/run/postgresql", {"host": "/var/run/postgresql"}),
        ("postgres://u@h/d?sslmode=verify-full&sslrootcert=/etc/ca.pem", {"sslmode": "verify-full"}),
    ],
)
def test_what_libpq_takes_is_taken(url: str, part: dict[str, str]) -> None:
    taken = conninfo_to_dict(database_url("DATABASE_URL", url))
    assert {name: taken.get(name) for name in part} == part


@pytest.mark.parametrize("character", ["[", "]", "#", "/", "?", "@", " ", "%"])
def test_a_character_that_a_password_may_not_have_is_named_as_that(character: str) -> None:
    said = fault(f"postgres://app:hush{character}zzz@db.example.com:5432/app")
    assert said.startswith(f"DATABASE_URL: the password has {character!r}, which must be percent-encoded there: %")
    assert "hush" not in said
    assert "zzz" not in said


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("postgres://app:hush@db.example.com:5432/app?schema=public", 'invalid URI query parameter: "schema"'),
        ("postgres://app:hush@h:port/app", '"port"'),
        ("postgres://app:hush@h:99999/app", '"99999"'),
        ("postgres://app:hush@h/app?sslmode=bogus", '"bogus"'),
        ("postgres://app:hush@h/app?connect_timeout=soon", '"soon"'),
        ("postgres://app:hush@h1,h2/app?port=1,2,3", "3 port numbers to 2 hosts"),
        ("postgres://app:hush@[::1/app", '"]"'),
        ("postgres://app:hush%00@h/app", "%00"),
        ("mysql://app:hush@h/app", "postgres://"),
    ],
)
def test_any_other_fault_ends_the_start_and_is_named(url: str, named: str) -> None:
    said = fault(url)
    assert said.startswith("DATABASE_URL")
    assert named in said
    assert "hush" not in said


def test_a_direct_url_is_held_to_the_same_and_goes_with_the_other() -> None:
    with pytest.raises(ConfigurationError, match=r"DATABASE_DIRECT_URL: .*schema"):
        read_environment({"DATABASE_URL": "postgres://h/d", "DATABASE_DIRECT_URL": "postgres://h/d?schema=x"})
    with pytest.raises(ConfigurationError, match="set that too"):
        read_environment({"DATABASE_DIRECT_URL": "postgres://h/d"})
