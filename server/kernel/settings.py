"""The environment, read once into one typed table.

`VARIABLES` is the whole list: docs/settings.md is checked against it. The
settings that may also change at run time are in `server/config/registry.py`;
their environment values are read there, by the same names.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr
from pathlib import Path
from urllib.parse import unquote, urlsplit

from server.kernel import addresses
from server.kernel.errors import ConfigurationError
from server.kernel.redaction import hide, secrets_in
from server.kernel.secret_key import SecretKey, keys_of


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: its default as text and what it does."""

    name: str
    default: str
    help: str


VARIABLES: tuple[Variable, ...] = (
    Variable("PORT", "8000", "The port to listen on, 1 to 65535."),
    Variable("HOST", "0.0.0.0", "The address to listen on."),  # noqa: S104 - a PaaS router connects from outside
    Variable("WEB_CONCURRENCY", "1", "Web processes on this machine, 1 to 64."),
    Variable("DATA_DIR", ".evenkeel", "Where the embedded database and the generated secret are kept."),
    Variable("DATABASE_URL", "", "PostgreSQL to use instead of the embedded one; postgres:// is accepted."),
    Variable("DATABASE_DIRECT_URL", "", "The same database, around a pooler that DATABASE_URL leads through."),
    Variable("OUTCOMES_DATABASE_URL", "", "A PostgreSQL of their own for raw outcomes, beside DATABASE_URL."),
    Variable("REDIS_URL", "", "Redis, optional: faster signals and limits shared between processes."),
    Variable("SECRET_KEY", "", "Signs cookies; required with DATABASE_URL, else made in DATA_DIR."),
    Variable("SECRET_KEYS_ACCEPTED", "", "Keys beside SECRET_KEY, with commas, that signed and encrypted too."),
    Variable("PUBLIC_URL", "", "The address people use, for links; default http://localhost:PORT."),
    Variable("TRUSTED_PROXIES", "0", "Proxies in front that set X-Forwarded-For and -Proto; Heroku: 1."),
    Variable("SLO_FILE", "slo.yaml", "The objectives, OpenSLO v1."),
    Variable("RUNBOOK_FILE", "runbook.yaml", "The steps of an incident."),
    Variable("DATABASE_MAX_BYTES", "0", "Bytes that the database's plan allows, for the forecast; 0: not known."),
    Variable("OUTCOME_RETENTION_DAYS", "7", "Days that raw outcomes are kept, 1 to 365."),
    Variable("LOG_RETENTION_DAYS", "3", "Days that log lines are kept for look-up, 1 to 90."),
    Variable("LOG_RETENTION_HOURS", "72", "Hours that log lines of services are kept, 1 to 2160."),
    Variable("LOG_BYTES_A_DAY", "268435456", "Bytes of log lines that a service may send in a day, from 1048576."),
    Variable("LOG_LINES_KEPT", "1000000", "Log lines kept for look-up at most."),
    Variable("LOG_FORMAT", "auto", "json, text, or auto: text on a terminal."),
    Variable("LOG_LEVEL", "info", "debug, info, warning or error."),
    Variable("METRICS_PUBLIC", "false", "true: /metrics is open to strangers."),
    Variable("NOTIFY_ALLOW_PRIVATE", "false", "true: alerts may be sent to addresses within the network, and by http."),
    Variable("SMTP_URL", "", "Sends e-mail: smtp://user:password@host:587, or smtps:// for TLS from the first byte."),
    Variable("SMTP_FROM", "", "The address that e-mails come from; required with SMTP_URL."),
    Variable(
        "SPOOL", "auto", "Keep outcomes in DATA_DIR while the database is away: on, off, auto: on a lasting disk."
    ),
    Variable("SPOOL_MAX_BYTES", "1073741824", "Bytes that may wait in it on this machine, from 1048576."),
    Variable("SERVICES_MAX", "200", "Services counted under their own name; the rest under (other)."),
    Variable("ROUTES_MAX", "200", "Routes per service counted under their own name."),
    Variable("VERSIONS_MAX", "50", "Versions per service counted under their own name."),
)


KEY_CHARACTERS = 16  # of a SECRET_KEY, at least
MAIL_PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where e-mail is handed over. `tls` from the first byte; else STARTTLS where the server offers it."""

    host: str
    port: int
    tls: bool
    user: str
    password: str = field(repr=False)
    sender: str
    domain: str  # of the sender: what we announce ourselves as


@dataclass(frozen=True, slots=True)
class Environment:
    """The environment as the service uses it. Days, counts and ports are whole numbers."""

    port: int
    host: str
    web_concurrency: int
    data_dir: Path
    database_url: str | None
    database_direct_url: str | None  # None: DATABASE_URL leads to the database itself
    outcomes_database_url: str | None  # None: outcomes are in the same database
    redis_url: str | None
    secret_key: str
    public_url: str
    trusted_proxies: int
    slo_file: Path
    runbook_file: Path
    database_max_bytes: int  # 0: not known
    outcome_retention_days: int
    log_retention_days: int
    log_retention_hours: int
    log_bytes_a_day: int
    log_lines_kept: int
    log_format: str
    log_level: str
    metrics_public: bool
    notify_allow_private: bool
    mail: MailServer | None
    spool: str
    spool_max_bytes: int
    services_max: int
    routes_max: int
    versions_max: int
    raw: Mapping[str, str]

    @property
    def session_url(self) -> str | None:
        """Where a session is a session: around a pooler."""
        return self.database_direct_url or self.database_url

    @property
    def embedded(self) -> bool:
        """Whether our own supervisor runs the database."""
        return self.database_url is None


def read_environment(source: Mapping[str, str] | None = None, *, for_database_only: bool = False) -> Environment:
    """Read and check every variable; raise ConfigurationError naming the one that is wrong.

    A command that only reaches the database (a release phase, a migration) signs
    nothing: it does not ask for SECRET_KEY.
    """
    raw = dict(os.environ if source is None else source)
    hide(secrets_in(raw))
    text = {v.name: raw.get(v.name, "").strip() or v.default for v in VARIABLES}
    data_dir = Path(text["DATA_DIR"]).absolute()
    database_url, direct_url = database_urls(text)
    hide([key := "" if for_database_only else secret_key(text["SECRET_KEY"], database_url, data_dir)])
    return Environment(
        port=whole(text, "PORT", 0, 65535),
        host=text["HOST"],
        web_concurrency=whole(text, "WEB_CONCURRENCY", 1, 64),
        data_dir=data_dir,
        database_url=database_url,
        database_direct_url=direct_url,
        outcomes_database_url=outcomes_url(text, database_url),
        redis_url=text["REDIS_URL"] or None,
        secret_key=SecretKey(key, accepted_keys(text["SECRET_KEYS_ACCEPTED"])),
        public_url=(text["PUBLIC_URL"] or f"http://localhost:{text['PORT']}").rstrip("/"),
        trusted_proxies=whole(text, "TRUSTED_PROXIES", 0, 10),
        slo_file=Path(text["SLO_FILE"]),
        runbook_file=Path(text["RUNBOOK_FILE"]),
        database_max_bytes=whole(text, "DATABASE_MAX_BYTES", 0, 1 << 50),
        outcome_retention_days=whole(text, "OUTCOME_RETENTION_DAYS", 1, 365),
        log_retention_days=whole(text, "LOG_RETENTION_DAYS", 1, 90),
        log_retention_hours=whole(text, "LOG_RETENTION_HOURS", 1, 2160),
        log_bytes_a_day=whole(text, "LOG_BYTES_A_DAY", 1 << 20, 1 << 50),
        log_lines_kept=whole(text, "LOG_LINES_KEPT", 1000, 1_000_000_000),
        log_format=choice(text, "LOG_FORMAT", ("auto", "json", "text")),
        log_level=choice(text, "LOG_LEVEL", ("debug", "info", "warning", "error")),
        metrics_public=choice(text, "METRICS_PUBLIC", ("true", "false")) == "true",
        notify_allow_private=choice(text, "NOTIFY_ALLOW_PRIVATE", ("true", "false")) == "true",
        mail=mail_server(text["SMTP_URL"], text["SMTP_FROM"]),
        spool=choice(text, "SPOOL", ("auto", "on", "off")),
        spool_max_bytes=whole(text, "SPOOL_MAX_BYTES", 1 << 20, 1 << 50),
        services_max=whole(text, "SERVICES_MAX", 1, 10_000),
        routes_max=whole(text, "ROUTES_MAX", 1, 10_000),
        versions_max=whole(text, "VERSIONS_MAX", 1, 10_000),
        raw=raw,
    )


def database_urls(text: Mapping[str, str]) -> tuple[str | None, str | None]:
    """DATABASE_URL and DATABASE_DIRECT_URL; None: not set. ConfigurationError where the second is without the first."""
    database_url, direct_url = (
        addresses.database_url(name, text[name]) if text[name] else None
        for name in ("DATABASE_URL", "DATABASE_DIRECT_URL")
    )
    if direct_url and not database_url:
        raise ConfigurationError("DATABASE_DIRECT_URL goes with DATABASE_URL: set that too.")
    return database_url, direct_url


def outcomes_url(text: Mapping[str, str], database_url: str | None) -> str | None:
    """OUTCOMES_DATABASE_URL; ConfigurationError where it is no address, or that of DATABASE_URL."""
    name = "OUTCOMES_DATABASE_URL"
    if not text[name]:
        return None
    url = addresses.database_url(name, text[name])
    if not database_url:
        raise ConfigurationError(f"{name} goes with DATABASE_URL: beside the embedded database it gains nothing.")
    if url == database_url:
        raise ConfigurationError(f"{name} is the same as DATABASE_URL: leave it out, or name another database.")
    return url


def whole(text: Mapping[str, str], name: str, low: int, high: int) -> int:
    """A whole number from `low` to `high`, or ConfigurationError."""
    try:
        value = int(text[name])
    except ValueError:
        raise ConfigurationError(f"{name} is {text[name]!r}; give a whole number from {low} to {high}.") from None
    if not low <= value <= high:
        raise ConfigurationError(f"{name} is {value}; give a whole number from {low} to {high}.")
    return value


def choice(text: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    """One of the allowed words, in lower case, or ConfigurationError."""
    value = text[name].lower()
    if value not in allowed:
        raise ConfigurationError(f"{name} is {text[name]!r}; give one of {', '.join(allowed)}.")
    return value


def secret_key(given: str, database_url: str | None, data_dir: Path) -> str:
    """The given key, or one made once and kept, readable by its owner only."""
    if given:
        if len(given) < KEY_CHARACTERS:
            short = f"SECRET_KEY is shorter than {KEY_CHARACTERS} characters; use `openssl rand -hex 32`."
            raise ConfigurationError(short)
        return given
    if database_url is not None:
        raise ConfigurationError("SECRET_KEY is required with DATABASE_URL; use `openssl rand -hex 32`.")
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(data_dir / "secret_key", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"DATA_DIR is {data_dir}, which cannot be written to ({error.strerror}); let this user write there, or set "
            "DATA_DIR to another directory."
        ) from None
    with os.fdopen(descriptor, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # two commands at the first start; one that was killed here left it empty
        kept = file.read().strip()
        if not kept:
            kept = secrets.token_hex(32)
            file.write(kept)
            file.flush()
    return kept


def key_of(env: Environment) -> str:
    """The key of an environment that was read for the database only, with those accepted beside it; raises as
    `read_environment`."""
    if env.secret_key:
        return env.secret_key
    found = secret_key(env.raw.get("SECRET_KEY", "").strip(), env.database_url, env.data_dir)
    return SecretKey(found, keys_of(env.secret_key)[1:])


def accepted_keys(given: str) -> list[str]:
    """The keys accepted beside SECRET_KEY; ConfigurationError for one that is none."""
    keys = [key.strip() for key in given.split(",") if key.strip()]
    if any(len(key) < KEY_CHARACTERS for key in keys):
        raise ConfigurationError(f"SECRET_KEYS_ACCEPTED has a key shorter than {KEY_CHARACTERS} characters.")
    return keys


def mail_server(url: str, sender: str) -> MailServer | None:
    """SMTP_URL, `smtp://user:password@host:port`; None where it is not set. ConfigurationError never repeats it."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigurationError("SMTP_URL is not a URL; give smtp://user:password@host:587.") from None
    if parts.scheme not in MAIL_PORTS or not parts.hostname:
        raise ConfigurationError("SMTP_URL begins with smtp:// or smtps://, then user:password@host:port.")
    domain = domain_of(parseaddr(sender)[1])
    if not domain:
        raise ConfigurationError("SMTP_FROM is required with SMTP_URL: the address that e-mails come from.")
    return MailServer(
        host=parts.hostname,
        port=port or MAIL_PORTS[parts.scheme],
        tls=parts.scheme == "smtps",
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        sender=sender,
        domain=domain,
    )


def domain_of(address: str) -> str:
    """The domain of an e-mail address in ASCII; empty where it has none."""
    _, at, domain = address.rpartition("@")
    try:
        return domain.encode("idna").decode() if at else ""
    except UnicodeError:
        return ""
