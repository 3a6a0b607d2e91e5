"""The directory of the embedded database's sockets, which nobody else may have made before us."""

from __future__ import annotations

import contextlib
import os
import pwd
from pathlib import Path

from server.kernel.errors import ConfigurationError


def private_directory(path: Path, user: pwd.struct_passwd | None) -> None:
    """A directory open to the database's `user` only (None: to us). ConfigurationError where it is not ours.

    In the system's temporary directory anybody may make one of that name first, or a link to another place: so
    what is looked at, and then changed, is the directory that was opened.
    """
    owner = user.pw_uid if user else os.geteuid()
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    try:
        found = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise not_ours(path, str(error.strerror)) from None
    try:
        if os.fstat(found).st_uid not in (os.geteuid(), owner):
            raise not_ours(path, "it belongs to somebody else")
        os.fchmod(found, 0o700)
        if user is not None:
            os.fchown(found, user.pw_uid, user.pw_gid)
    finally:
        os.close(found)


def not_ours(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The database's sockets cannot be kept in {path}: {why}. Remove it, or set a shorter DATA_DIR."
    )
