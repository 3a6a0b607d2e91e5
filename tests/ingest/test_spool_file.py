"""Records on disk: a file cut or damaged anywhere gives whole records and never garbage."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from server.ingest.spool.spool_file import HEAD, framed, read
from server.ingest.spool.spool_slot import Segment, SpoolSlot, segments_in

MARK = bytes(range(1, 9))
# Payloads that look like frames too: of this file, which no sender can know the mark of, and of another one.
payloads = st.lists(st.binary(max_size=40) | st.just(framed(bytes(8), b"x")) | st.just(MARK * 3), max_size=6)


def file_of(records: list[bytes]) -> bytes:
    return b"".join(framed(MARK, record) for record in records)


@given(payloads, st.data())
def test_a_file_cut_anywhere_gives_its_first_records(records: list[bytes], data: st.DataObject) -> None:
    whole = file_of(records)
    cut = data.draw(st.integers(0, len(whole)))
    ends = [len(file_of(records[:number])) for number in range(len(records) + 1)]
    kept = max(number for number, end in enumerate(ends) if end <= cut)
    found = read(whole[:cut], MARK)
    assert found.payloads == records[:kept]
    assert (found.torn, found.broken) == (cut - ends[kept], 0)


@given(payloads.filter(bool), st.data())
def test_a_flipped_bit_is_found_and_costs_one_record(records: list[bytes], data: st.DataObject) -> None:
    damaged = bytearray(file_of(records))
    place = data.draw(st.integers(0, len(damaged) * 8 - 1))
    damaged[place // 8] ^= 1 << place % 8
    hit = next(n for n in range(len(records)) if place // 8 < len(file_of(records[: n + 1])))
    found = read(bytes(damaged), MARK)
    assert found.payloads == records[:hit] + records[hit + 1 :]
    assert found.torn + found.broken == HEAD.size + len(records[hit])


@given(st.binary(max_size=200))
def test_noise_is_no_record(noise: bytes) -> None:
    found = read(noise, MARK)
    assert (found.payloads, found.torn + found.broken) == ([], len(noise))


def test_a_record_put_aside_and_moved_up_takes_the_place_of_nothing(tmp_path: Path) -> None:
    """Its segment may wait there still, or other records of it; what fails again is the same file again."""
    slot = SpoolSlot.take(tmp_path)
    segment = Segment.begun(1_790_000_000_000_000, MARK, slot.folder)
    segment.path.write_bytes(file_of([b"one", b"two", b"good"]))
    for record in (b"one", b"two"):
        slot.put_record_aside(segment, record)
    aside = segments_in(slot.folder / "aside")
    assert [read(one.path.read_bytes(), one.mark).payloads for one in aside] in (
        [[b"one"], [b"two"]],
        [[b"two"], [b"one"]],
    )
    for one in aside:
        assert not (slot.folder / one.name).exists()
        one.path.rename(slot.folder / one.name)
    waiting = segments_in(slot.folder)
    assert waiting[0].name == segment.name, "what came after it is tried after it"
    assert len(waiting) == 3
    assert 0 <= waiting[-1].since - segment.since <= 1.1
