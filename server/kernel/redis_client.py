"""REDIS_URL: one server, the master that Sentinels name, or a cluster; and why it is lost.

`redis://`, `rediss://` and `unix://` as redis-py takes them. `redis+sentinel://user:password@a,b:26379/service/0`
asks the Sentinels a and b where the master `service` is, `redis+cluster://user:password@a,b:6379` the nodes a and b
who else there is; with `rediss+` everything of it over TLS. User and password are those of the servers; Sentinels
that want their own take `?sentinel_username=` and `?sentinel_password=`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import redis.asyncio as redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import MovedError, OutOfMemoryError, ReadOnlyError, RedisClusterException, RedisError

from server.kernel.errors import ConfigurationError
from server.kernel.text import first_line

SCHEME = re.compile(r"(?P<kind>redis|rediss|unix)(?:\+(?P<many>sentinel|cluster))?")
PORTS = {"sentinel": 26379, "cluster": 6379}
SENTINEL_S = 0.5  # a frozen Sentinel costs no more than this, then the next one is asked
SHAPES = (
    "redis://host:6379/0, redis+sentinel://host:26379,host:26379/service, redis+cluster://host:6379,host:6379, "
    "or one of these with rediss, over TLS"
)

Client = redis.Redis | RedisCluster
RedisTrouble = Literal["lost", "slow", "full", "read_only"]
FAILURES = (RedisError, RedisClusterException, OSError)  # what a client raises; TimeoutError is an OSError


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """REDIS_URL, read. `one` is what redis-py takes for one server: the first of `hosts`."""

    one: str
    many: str  # sentinel, cluster; empty: one server
    hosts: tuple[tuple[str, int], ...]
    service: str  # the master's name, by Sentinel
    sentinel_login: dict[str, str]


class Sentinels(Sentinel):
    """Says of each Sentinel why it does not name the master; redis-py's own says that of none."""

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Where the master is, by the first Sentinel that knows; it is asked first the next time."""
        reasons = []
        for sentinel in tuple(self.sentinels):
            try:
                masters: Any = await sentinel.sentinel_masters()
                state = masters.get(service_name)
            except FAILURES as error:
                said = first_line(error)
            else:
                if state and self.check_master_state(state, service_name):
                    self.sentinels.sort(key=lambda other: other is not sentinel)
                    return state["ip"], state["port"]
                said = "holds it for down" if state else "knows no such master"
            place = sentinel.connection_pool.connection_kwargs
            reasons.append(f"{place['host']}:{place['port']}: {said}")
        raise MasterNotFoundError(f"no Sentinel says where the master {service_name} is. {'; '.join(reasons)}")


class ServicePool(SentinelConnectionPool):
    """Connections to a master, which close those to the Sentinels with them."""

    async def aclose(self) -> None:
        await super().aclose()
        await self.sentinel_manager.aclose()


def redis_client(url: str, connect_s: float) -> Client:
    """A client of REDIS_URL, which connects when it is first used; ConfigurationError where it is none.

    Only connecting has a time-out: whoever sends sets one by `asyncio.timeout`. With a `socket_timeout` redis-py
    would wrap each sending in wait_for, which can swallow a cancellation.
    """
    address = read_address(url)
    try:
        pool = redis.ConnectionPool.from_url(address.one, socket_connect_timeout=connect_s)
        pool.make_connection()  # type: ignore[no-untyped-call]  # connects to nothing: unknown parameters are found here
        if not address.many:
            return redis.Redis.from_pool(pool)
        options = {"socket_connect_timeout": connect_s, **parse_url(address.one)}
        options["ssl"] = options.pop("connection_class", None) is SSLConnection
        del options["host"]
        return by_sentinels(address, options) if address.many == "sentinel" else of_a_cluster(address, options)
    except (ValueError, TypeError, RedisError, RedisClusterException) as error:
        raise ConfigurationError(f"REDIS_URL: {first_line(error)}") from None


def by_sentinels(address: RedisAddress, options: dict[str, Any]) -> redis.Redis:
    theirs = {name: value for name, value in options.items() if name not in ("db", "username", "password")}
    patience_s = min(options["socket_connect_timeout"], SENTINEL_S)
    theirs |= {"socket_timeout": patience_s, "socket_connect_timeout": patience_s, "retry": Retry(NoBackoff(), 0)}
    sentinel = Sentinels(address.hosts, sentinel_kwargs=theirs | address.sentinel_login, **options)  # type: ignore[no-untyped-call]
    client: redis.Redis = sentinel.master_for(address.service, connection_pool_class=ServicePool)
    return client


def of_a_cluster(address: RedisAddress, options: dict[str, Any]) -> RedisCluster:
    nodes = [ClusterNode(host, port) for host, port in address.hosts]
    options.pop("db", None)
    once = Retry(NoBackoff(), 1)  # after the first failure it asks anew which node has what
    return RedisCluster(startup_nodes=nodes, retry=once, **options | {"socket_timeout": None})


def read_address(url: str) -> RedisAddress:
    """REDIS_URL, read; ConfigurationError says what is wrong, and never repeats a password."""
    scheme, _, rest = url.partition("://")
    shape = SCHEME.fullmatch(scheme)
    if shape is None or not rest or (shape["kind"] == "unix" and shape["many"]):
        raise ConfigurationError(f"REDIS_URL is none of {SHAPES}.")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    login, _, names = authority.rpartition("@")
    many = shape["many"] or ""
    if not many:
        if "," in names:
            raise ConfigurationError(
                f"REDIS_URL names several hosts: begin it with {scheme}+sentinel:// where they are Sentinels, and end "
                f"it with /service; with {scheme}+cluster:// where they are nodes of a cluster."
            )
        return RedisAddress(url, "", (), "", {})
    parts = urlsplit(f"//{rest[len(authority) :]}")
    service, database = after_hosts(many, parts.path)
    asked = parse_qsl(parts.query, keep_blank_values=True)
    own = {name.removeprefix("sentinel_"): value for name, value in asked if name.startswith("sentinel_")}
    if own and (many == "cluster" or not own.keys() <= {"username", "password"}):
        raise ConfigurationError(
            "REDIS_URL: of Sentinels it takes sentinel_username and sentinel_password, and of a cluster neither."
        )
    hosts = tuple(host_of(name, PORTS[many]) for name in names.split(","))
    others = urlencode([(name, value) for name, value in asked if not name.startswith("sentinel_")])
    before = f"{login}@" if login else ""
    return RedisAddress(f"{shape['kind']}://{before}first/{database}?{others}", many, hosts, service, own)


def after_hosts(many: str, path: str) -> tuple[str, str]:
    """The master's name and the number of the database."""
    first, _, second = path.strip("/").partition("/")
    if many == "cluster":
        if first not in ("", "0"):
            raise ConfigurationError("REDIS_URL: a cluster has no databases; end it after the hosts.")
        return "", "0"
    if not first:
        raise ConfigurationError(
            "REDIS_URL: after the Sentinels comes the master's name, as `sentinel monitor` has it: …:26379/mymaster."
        )
    if not (second or "0").isdecimal():
        raise ConfigurationError("REDIS_URL: after the master's name comes the number of a database, or nothing.")
    return unquote(first), second or "0"


def host_of(name: str, port: int) -> tuple[str, int]:
    try:
        place = urlsplit(f"//{name}")
        found = place.hostname, place.port or port
    except ValueError:
        found = None, 0
    if not found[0]:
        raise ConfigurationError("REDIS_URL: one of its hosts is empty or wrong; give host:port,host:port.")
    return found[0], found[1]


def trouble_of(error: BaseException) -> RedisTrouble:
    """What a failure says of Redis; `lost` where it says no more."""
    if isinstance(error, OutOfMemoryError):
        return "full"
    if isinstance(error, ReadOnlyError) or str(error).startswith("MISCONF"):
        return "read_only"
    return "lost"


def lost(error: BaseException) -> str:
    """Why Redis is lost, on one line; where it is known also what to do."""
    said = first_line(error)
    if isinstance(error, MovedError):
        return f"it answered MOVED {said}. REDIS_URL leads to a node of a cluster: begin it with redis+cluster://, or rediss+cluster://"
    if "CERTIFICATE_VERIFY_FAILED" not in said:
        return said
    return (
        f"{said}. Nobody whom this machine trusts has signed its certificate: add ?ssl_ca_certs=/path/ca.pem to "
        "REDIS_URL, or ?ssl_cert_reqs=none to take any certificate, as a platform's own Redis may need"
    )
