"""People, keys, sessions, and the audit of what they did."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Identity, Index, Integer, LargeBinary, Table, Text, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from server.tables.columns import Time, metadata

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),  # the first characters, to recognise it by
    Column("digest", LargeBinary, nullable=False, unique=True),  # SHA-256 of 256 random bits
    Column("scopes", ARRAY(Text), nullable=False),
    Column("services", ARRAY(Text), nullable=False, server_default="{}"),  # that it may send and act for; empty: every
    Column("sampled", Float(53), nullable=False, server_default="1"),  # the share of its requests whose spans it sends
    Column("created_by", Text, nullable=False),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("expires_at", Time),
    Column("revoked_at", Time),
)

users = Table(
    "users",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("email", Text, nullable=False, unique=True),  # lower case
    Column("password", Text, nullable=False),  # argon2id
    Column("role", Text, nullable=False),  # viewer, responder, commander, admin
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("disabled_at", Time),
    Column("totp_secret", Text),  # sealed; null: signs in with the password alone
    Column("totp_step", BigInteger, nullable=False, server_default="0"),  # of the last code taken; each works once
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("digest", LargeBinary, primary_key=True),  # SHA-256 of 80 random bits, with the person's id
    Column("user_id", Integer, ForeignKey("users.id"), nullable=False),
)
Index("recovery_codes_user_id", recovery_codes.c.user_id)

sessions = Table(
    "sessions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("user_id", Integer, ForeignKey("users.id"), nullable=False),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("seen_at", Time, nullable=False, server_default=func.now()),
    Column("expires_at", Time, nullable=False),
    Column("revoked_at", Time),
    Column("proved_at", Time),  # when the password was last given in it
    Column("agent", Text, nullable=False, server_default=""),
    Column("address", Text, nullable=False, server_default=""),
)
Index("sessions_user_id", sessions.c.user_id)

signin_links = Table(
    "signin_links",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("role", Text, nullable=False),
    Column("created_at", Time, nullable=False, server_default=func.now()),
    Column("expires_at", Time, nullable=False),
    Column("used_at", Time),
)

signin_failures = Table(
    "signin_failures",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("subject", Text, nullable=False),  # account:E-MAIL or address:IP
    Column("at", Time, nullable=False, server_default=func.now()),
)
Index("signin_failures_subject", signin_failures.c.subject, signin_failures.c.at)

audit = Table(  # append-only: a trigger refuses DELETE, TRUNCATE and UPDATE, but for an address replaced by an id
    "audit",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", Time, nullable=False, server_default=func.now()),
    Column("actor", Text, nullable=False),  # E-MAIL, key:NAME, cli:USER@HOST, evenkeel
    Column("action", Text, nullable=False),  # config.change, key.create, session.revoke …
    Column("subject", Text, nullable=False),
    Column("before", JSONB),
    Column("after", JSONB),
    Column("request_id", Text, nullable=False, server_default=""),
)
Index("audit_at", audit.c.at)
