"""A file that is followed on this machine: its text while it can be used, and whether it has changed since then."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from server.slo.model.objective import PolicyError, Problem
from server.slo.policy.documents import MAX_BYTES
from server.slo.policy.policy import parse

Stamp = tuple[int, int, int]  # inode, size and time of change


class FollowedFile:
    """`problem` says why it cannot be used, None where it can; `digest` is of its text, '' where it cannot.

    `check` raises PolicyError for a text that cannot be used. `setting` names the file, which holds `what`.
    """

    def __init__(self, path: Path, check: Callable[[str, str], object], setting: str, what: str) -> None:
        self.path = path
        self.check = check
        self.setting = setting
        self.what = what
        self.problem: str | None = None
        self.digest = ""
        self._read: Stamp | None = None
        self._seen: Stamp | None = None

    def read(self) -> str | None:
        """The text if it can be used."""
        self._read = self._seen = self._stamp()
        self.problem, self.digest = None, ""
        try:
            with self.path.open("rb") as file:
                source = file.read(MAX_BYTES + 1).decode()
            self.check(source, str(self.path))
        except OSError as error:
            self.problem = f"{self.path}: {error.strerror}. Set {self.setting} to the file with the {self.what}."
        except UnicodeDecodeError:
            self.problem = str(PolicyError([Problem(1, "", "not UTF-8 text")], str(self.path)))
        except PolicyError as error:
            self.problem = str(error)
        else:
            self.digest = digest_of(source)
            return source
        return None

    def changed(self) -> bool:
        """Whether it differs from what was read, and has stood still since the last look: not half written."""
        stamp, before = self._stamp(), self._seen
        self._seen = stamp
        return stamp is not None and stamp == before and stamp != self._read

    def _stamp(self) -> Stamp | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns


class PolicyFile(FollowedFile):
    """SLO_FILE."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, parse, "SLO_FILE", "objectives")


def digest_of(source: str) -> str:
    """What tells one policy text from another."""
    return hashlib.sha256(source.encode()).hexdigest()
