"""The build that figures are compared with, as a git worktree for the length of a run."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.stand import ROOT, begin, scratch
from tests.running import Running

COMMIT = "c0f5fcb"
NO_BASE = f"no ratio: {COMMIT} is not in this clone"


@contextlib.contextmanager
def tree() -> Iterator[Path | None]:
    """Its files in a temporary folder; None where the clone does not have the commit, as a shallow one."""
    with scratch() as directory:
        path = directory / COMMIT
        if git("worktree", "add", "--detach", str(path), COMMIT).returncode:
            print(NO_BASE, flush=True)
            yield None
            return
        try:
            yield path
        finally:
            git("worktree", "remove", "--force", str(path))


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


@contextlib.contextmanager
def side_by_side(**variables: str) -> Iterator[list[Running]]:
    """This build and the base, each with data of its own and the same environment; only this one without a base."""
    with contextlib.ExitStack() as stack:
        base = stack.enter_context(tree())
        servers: list[Running] = []
        for root in (ROOT, base):
            if root is not None:
                directory = stack.enter_context(scratch())
                servers.append(begin(directory, root, **variables))
                stack.callback(servers[-1].stop)
        yield servers
