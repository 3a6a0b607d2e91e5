"""The command line: a key alone on standard output, a password from standard input, failures without a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from server.auth import tokens
from server.auth.commands import key, user
from server.kernel.settings import read_environment
from server.process.serve import first_steps
from tests.conftest import variables


@pytest.fixture
def run(database_url: str, tmp_path: Path) -> Any:
    def invoke(command: Any, *arguments: str, input: str = "") -> Result:
        return CliRunner(env=variables(database_url, tmp_path)).invoke(command, arguments, input=input)

    return invoke


def rows(database_url: str, query: str) -> list[Any]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(query).fetchall()  # type: ignore[call-overload]


def test_a_key_is_alone_on_standard_output(run: Any, database_url: str) -> None:
    made = run(key, "create", "ci", "--scope", "ingest", "--scope", "read")
    assert made.exit_code == 0, made.output
    assert tokens.well_formed("ek", made.stdout.strip())
    ((digest, scopes, by),) = rows(database_url, "SELECT digest, scopes, created_by FROM api_keys")
    assert digest == tokens.digest(made.stdout.strip())
    assert scopes == ["ingest", "read"]
    assert by.startswith("cli:")


def test_keys_are_listed_and_revoked(run: Any, database_url: str) -> None:
    made = run(key, "create", "ci", "--scope", "read").stdout.strip()
    run(key, "create", "other", "--scope", "admin")
    listed = run(key, "list").stdout
    assert made not in listed
    assert made[:9] in listed
    assert [line.split()[1] for line in listed.splitlines()] == ["NAME", "other", "ci"]
    ended = run(key, "revoke", listed.splitlines()[2].split()[0])
    assert ended.exit_code == 0
    assert "revoked 20" in run(key, "list").stdout.splitlines()[2]
    actions = rows(database_url, "SELECT action FROM audit ORDER BY id")
    assert [action for (action,) in actions] == ["key.create", "key.create", "key.revoke"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "ci", "--scope", "root"), "ingest, read, act, admin"),
        (("create", "ci"), "--scope"),
        (("create", " ", "--scope", "read"), "name"),
        (("revoke", "999"), "no key 999"),
        (("revoke", "ci"), "key list"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_done(
    run: Any, database_url: str, arguments: tuple[str, ...], said: str
) -> None:
    failed = run(key, *arguments)
    assert failed.exit_code != 0
    assert said in failed.output
    assert "Traceback" not in failed.output
    assert rows(database_url, "SELECT id FROM api_keys") == []


def test_a_person_is_made_with_the_password_from_standard_input(run: Any, database_url: str) -> None:
    made = run(user, "create", "Mira@Example.com", "--role", "commander", input="correct horse battery\n")
    assert made.exit_code == 0, made.output
    ((email, role, password),) = rows(database_url, "SELECT email, role, password FROM users")
    assert (email, role) == ("mira@example.com", "commander")
    assert password.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    audited = rows(database_url, "SELECT row_to_json(audit) FROM audit")
    assert "correct horse" not in json.dumps(audited)
    again = run(user, "create", "mira@example.com", input="correct horse battery\n")
    assert again.exit_code == 1
    assert "exists already" in again.output


@pytest.mark.parametrize(
    ("arguments", "password", "said"),
    [
        (("mira@example.com",), "short\n", "12 to 256"),
        (("mira@example.com",), "", "12 to 256"),
        (("mira",), "correct horse battery\n", "e-mail"),
        (("mira@example.com", "--role", "root"), "correct horse battery\n", "viewer, responder"),
    ],
)
def test_a_bad_person_is_refused(
    run: Any, database_url: str, arguments: tuple[str, ...], password: str, said: str
) -> None:
    failed = run(user, "create", *arguments, input=password)
    assert failed.exit_code == 1
    assert said in failed.output
    assert rows(database_url, "SELECT id FROM users") == []


def test_a_database_that_is_away_is_told_without_a_traceback(tmp_path: Path) -> None:
    env = variables("postgresql://nobody@127.0.0.1:1/none", tmp_path)
    failed = CliRunner(env=env).invoke(key, ["list"])
    assert failed.exit_code == 1
    assert "Traceback" not in failed.output
    assert "refused" in failed.output


def test_a_database_without_tables_says_what_to_do(run: Any, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE api_keys RENAME TO elsewhere")
    made = run(key, "create", "ci", "--scope", "read")
    assert made.exit_code == 1
    assert "has no tables of Evenkeel. Nothing was done. Set DATABASE_URL or DATA_DIR" in made.output


def test_the_command_that_the_start_prints_finds_the_servers_database(tmp_path: Path) -> None:
    def shown(**given: str) -> str:
        env = read_environment(given, for_database_only=True)
        (line,) = (line for line in first_steps(env, None) if "key create" in line)
        return line

    assert f"KEY=$(DATA_DIR='{tmp_path}/a b' " in shown(DATA_DIR=f"{tmp_path}/a b")
    assert "DATA_DIR" not in shown()
    assert "DATA_DIR" not in shown(DATA_DIR=str(tmp_path), DATABASE_URL="postgresql://db/x")


def test_codes_are_turned_off_for_who_has_lost_everything(run: Any, database_url: str) -> None:
    run(user, "create", "mira@example.com", input="correct horse battery\n")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE users SET totp_secret = 'sealed1:lost'")
        connection.execute("INSERT INTO recovery_codes (user_id, digest) SELECT id, 'x' FROM users")
    done = run(user, "codes-off", "Mira@example.com")
    assert (done.exit_code, done.stderr) == (0, "mira@example.com signs in by the password alone now.\n")
    assert rows(database_url, "SELECT totp_secret, (SELECT count(*) FROM recovery_codes) FROM users") == [(None, 0)]
    ((actor, subject),) = rows(database_url, "SELECT actor, subject FROM audit WHERE action = 'person.codes_off'")
    assert (actor.split(":")[0], subject) == ("cli", "mira@example.com")
    assert "nothing was done" in run(user, "codes-off", "mira@example.com").stderr
    nobody = run(user, "codes-off", "who@example.com")
    assert (nobody.exit_code, "There is no who@example.com" in nobody.stderr) == (1, True)
