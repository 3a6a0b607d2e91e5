"""The secret that is made in DATA_DIR: one for all, whoever comes first, and never empty."""

from __future__ import annotations

import multiprocessing
import stat
from pathlib import Path

import pytest

from server.kernel.settings import secret_key


def made(data_dir: str) -> str:
    return secret_key("", None, Path(data_dir))


@pytest.mark.parametrize("left", [None, "", "\n"])
def test_many_at_once_have_the_same_secret(tmp_path: Path, left: str | None) -> None:
    if left is not None:  # by a command that was killed, by an earlier version say
        (tmp_path / "secret_key").write_text(left)
        (tmp_path / "secret_key").chmod(0o600)
    with multiprocessing.get_context("fork").Pool(8) as pool:
        keys = set(pool.map(made, [str(tmp_path)] * 64, chunksize=1))
    (key,) = keys
    assert len(key) == 64
    assert made(str(tmp_path)) == key == (tmp_path / "secret_key").read_text().strip()
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]
