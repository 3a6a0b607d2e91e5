"""Redis servers of a test's own: a master with a replica and a Sentinel, or the nodes of a cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from tests.conftest import answers, free_port, redis_binary
from tests.waiting import wait_for

SERVICE = "front"
SLOTS = 16384
BUS_PORT = 10000  # above its port each node of a cluster has another
HIGHEST_PORT = 65536 - BUS_PORT


class Servers:
    """Processes by port, each in a directory of its own."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.running: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, *arguments: str, configuration: str | None = None) -> int:
        """Start one on a free port; with the text of a configuration it is a Sentinel."""
        port = next(port for port in iter(free_port, 0) if port < HIGHEST_PORT and not answers(port + BUS_PORT))
        place = self.scratch / str(port)
        place.mkdir()
        command = [redis_binary()]
        if configuration is not None:
            (place / "sentinel.conf").write_text(configuration)
            command += [str(place / "sentinel.conf"), "--sentinel"]
        command += ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(place), *arguments]
        with (place / "log").open("wb") as log:
            self.running[port] = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(lambda: answers(port), "Redis to start")
        return port

    def end(self, port: int) -> None:
        process = self.running.pop(port)
        process.kill()
        process.wait()


@contextmanager
def servers(scratch: Path) -> Iterator[Servers]:
    made = Servers(scratch)
    try:
        yield made
    finally:
        for port in tuple(made.running):
            made.end(port)


def with_sentinel(made: Servers, *secured: str) -> tuple[int, int]:
    """A master that a replica follows, and a Sentinel that knows both: the ports of master and Sentinel."""
    fast = ("--save", "", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
    master = made.start(*fast, *secured)
    replica = made.start(*fast, *secured, "--replicaof", "127.0.0.1", str(master))
    with redis.Redis(port=replica) as following:
        wait_for(lambda: following.info("replication")["master_link_status"] == "up", "the replica to follow")
    sentinel = made.start(
        configuration=f"sentinel monitor {SERVICE} 127.0.0.1 {master} 1\n"
        f"sentinel down-after-milliseconds {SERVICE} 500\nsentinel failover-timeout {SERVICE} 5000\n"
    )
    with redis.Redis(port=sentinel) as asking:
        wait_for(lambda: len(asking.sentinel_slaves(SERVICE)) == 1, "the Sentinel to find the replica")
    return master, sentinel


def cluster_of(made: Servers, count: int = 2) -> list[int]:
    """The ports of a cluster's nodes, which share the slots."""
    ports = [made.start("--save", "", "--cluster-enabled", "yes") for _ in range(count)]
    clients = [redis.Redis(port=port) for port in ports]
    for number, client in enumerate(clients):
        share = range(number * SLOTS // count, (number + 1) * SLOTS // count)
        client.execute_command("CLUSTER ADDSLOTS", *share)
        if number:
            client.execute_command(f"CLUSTER MEET 127.0.0.1 {ports[0]}")
    for client in clients:
        wait_for(lambda client=client: whole(client, count), "the cluster to be whole")
        client.close()
    return ports


def whole(client: redis.Redis, count: int) -> bool:
    with suppress(redis.RedisError):
        said = client.execute_command("CLUSTER INFO")
        said = said if isinstance(said, dict) else dict(line.split(":") for line in said.decode().split())
        return said["cluster_state"] == "ok" and int(said["cluster_known_nodes"]) == count
    return False
