from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.http.body import UploadBody
from server.kernel.errors import ApiError


def read(body: UploadBody, data: bytes, step: int) -> bytes:
    for start in range(0, len(data), step):
        body.feed(data[start : start + step])
    return body.whole()


@given(st.binary(max_size=300), st.integers(1, 50))
def test_what_was_packed_comes_out_whatever_the_pieces(data: bytes, step: int) -> None:
    assert read(UploadBody(1000, "identity"), data, step) == data
    assert read(UploadBody(1000, "gzip"), gzip.compress(data), step) == data


def test_gzip_of_several_members() -> None:
    assert read(UploadBody(1000, "gzip"), gzip.compress(b"one ") + gzip.compress(b"two"), 7) == b"one two"


@pytest.mark.parametrize("sent", [100, 101])
def test_the_limit_itself_is_taken(sent: int) -> None:
    body = UploadBody(100, "identity")
    if sent == 100:
        body.feed(b"x" * sent)
        assert len(body.whole()) == 100
        return
    with pytest.raises(ApiError) as raised:
        body.feed(b"x" * sent)
    assert raised.value.code == "PAYLOAD_TOO_LARGE"
    assert (raised.value.extra["limit"], raised.value.extra["sent"]) == (100, 101)


def test_a_bomb_is_cut_off_at_the_limit() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    body = UploadBody(100_000, "gzip")
    with pytest.raises(ApiError) as raised:
        read(body, bomb, 65536)
    assert raised.value.code == "PAYLOAD_TOO_LARGE"
    assert raised.value.extra["sent"] == 100_001  # not a byte more was unpacked


@pytest.mark.parametrize(
    "sent", [b"not gzip at all", gzip.compress(b"x" * 100)[:-12], b""], ids=["other", "cut short", "empty"]
)
def test_broken_gzip_is_a_bad_request(sent: bytes) -> None:
    body = UploadBody(1000, "gzip")
    with pytest.raises(ApiError) as raised:
        read(body, sent, 1000)
    assert raised.value.code == "BAD_REQUEST"
